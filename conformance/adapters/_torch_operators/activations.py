"""Activation functions and gated units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _sigmoid(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": inputs["X"].sigmoid()}


def _tanh(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"output": inputs["input"].tanh()}


def _relu(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": inputs["X"].relu()}


def _swish(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"Y": _silu(inputs["X"], attributes["alpha"])}


def _silu(x: Any, alpha: float) -> Any:
    return functional().silu(x) if alpha == 1 else x * (alpha * x).sigmoid()


def _gelu(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"Y": functional().gelu(inputs["X"], approximate=attributes["approximate"])}


def _swiglu(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    gate, up, limit = inputs["gate"], inputs["up"], attributes["limit"]
    if limit is not None:
        gate, up = gate.clamp(max=limit), up.clamp(min=-limit, max=limit)
    if attributes["offset"]:
        up = up + attributes["offset"]
    return {"Y": _silu(gate, attributes["alpha"]) * up}


def _geglu(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    activated = functional().gelu(inputs["gate"], approximate=attributes["approximate"])
    return {"Y": activated * inputs["up"]}


OPERATORS = {
    "Sigmoid": (_sigmoid, {}),
    "Tanh": (_tanh, {}),
    "Relu": (_relu, {}),
    "Swish": (_swish, {"alpha": 1.0}),
    "Gelu": (_gelu, {"approximate": "none"}),
    "SwiGLU": (_swiglu, {"alpha": 1.0, "limit": None, "offset": 0.0}),
    "GeGLU": (_geglu, {"approximate": "none"}),
}
