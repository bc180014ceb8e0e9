"""Norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _rms_normalization(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, scale = inputs["X"], inputs["scale"]
    shape = x.shape[attributes["axis"] % x.ndim :]
    y = functional().rms_norm(x, shape, scale.expand(shape), attributes["epsilon"])
    return {"Y": y}


OPERATORS = {
    "RMSNormalization": (
        _rms_normalization,
        {"axis": -1, "epsilon": 1e-5, "stash_type": 1},
    ),
}
