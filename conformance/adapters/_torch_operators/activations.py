"""Activation functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _sigmoid(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": inputs["X"].sigmoid()}


def _swish(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, alpha = inputs["X"], attributes["alpha"]
    return {"Y": functional().silu(x) if alpha == 1 else x * (alpha * x).sigmoid()}


OPERATORS = {
    "Sigmoid": (_sigmoid, {}),
    "Swish": (_swish, {"alpha": 1.0}),
}
