"""Activation functions and gated units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import nn, numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def _sigmoid(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    return {"Y": nn().sigmoid(inputs["X"])}


def _tanh(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    return {"output": nn().tanh(inputs["input"])}


def _relu(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    return {"Y": nn().relu(inputs["X"])}


def _swish(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    return {"Y": _silu(inputs["X"], attributes["alpha"])}


def _silu(x: Any, alpha: float) -> Any:
    return nn().silu(x) if alpha == 1 else x * nn().sigmoid(alpha * x)


def _gelu(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    return {"Y": nn().gelu(inputs["X"], approximate=_by_tanh(attributes))}


def _by_tanh(attributes: Attributes) -> bool:
    return bool(attributes["approximate"] == "tanh")


def _swiglu(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    gate, up, limit = inputs["gate"], inputs["up"], attributes["limit"]
    if limit is not None:
        gate, up = numpy().minimum(gate, limit), numpy().clip(up, -limit, limit)
    if attributes["offset"]:
        up = up + attributes["offset"]
    return {"Y": _silu(gate, attributes["alpha"]) * up}


def _geglu(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    return {"Y": nn().gelu(inputs["gate"], approximate=_by_tanh(attributes)) * inputs["up"]}


OPERATORS = {
    "Sigmoid": (_sigmoid, {}),
    "Tanh": (_tanh, {}),
    "Relu": (_relu, {}),
    "Swish": (_swish, {"alpha": 1.0}),
    "Gelu": (_gelu, {"approximate": "none"}),
    "SwiGLU": (_swiglu, {"alpha": 1.0, "limit": None, "offset": 0.0}),
    "GeGLU": (_geglu, {"approximate": "none"}),
}
