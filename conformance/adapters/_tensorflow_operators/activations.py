"""Activation functions and gated units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _sigmoid(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": tf().math.sigmoid(inputs["X"])}


def _tanh(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"output": tf().math.tanh(inputs["input"])}


def _relu(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": tf().nn.relu(inputs["X"])}


def _swish(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"Y": tf().nn.silu(inputs["X"], attributes["alpha"])}


def _gelu(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"Y": _gelu_of(inputs["X"], attributes)}


def _gelu_of(x: Any, attributes: Attributes) -> Any:
    return tf().nn.gelu(x, approximate=attributes["approximate"] == "tanh")


def _swiglu(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    gate, up, limit = inputs["gate"], inputs["up"], attributes["limit"]
    if limit is not None:
        gate, up = tf().minimum(gate, limit), tf().clip_by_value(up, -limit, limit)
    if attributes["offset"]:
        up = up + attributes["offset"]
    return {"Y": tf().nn.silu(gate, attributes["alpha"]) * up}


def _geglu(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"Y": _gelu_of(inputs["gate"], attributes) * inputs["up"]}


OPERATORS = {
    "Sigmoid": (_sigmoid, {}),
    "Tanh": (_tanh, {}),
    "Relu": (_relu, {}),
    "Swish": (_swish, {"alpha": 1.0}),
    "Gelu": (_gelu, {"approximate": "none"}),
    "SwiGLU": (_swiglu, {"alpha": 1.0, "limit": None, "offset": 0.0}),
    "GeGLU": (_geglu, {"approximate": "none"}),
}
