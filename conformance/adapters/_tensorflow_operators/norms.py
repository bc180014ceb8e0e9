"""Norms: statistics in float32 at least, written as models write what TensorFlow lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf, wide

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _axes(x: Any, attributes: Attributes) -> list[int]:
    rank = x.shape.rank
    return list(range(attributes["axis"] % rank, rank))


def _rms_normalized(inputs: Tensors, attributes: Attributes) -> Any:
    """Return X over its root mean square, in float32 at least."""
    x = wide(inputs["X"])
    mean = tf().reduce_mean(tf().square(x), axis=_axes(x, attributes), keepdims=True)
    return x * tf().math.rsqrt(mean + attributes["epsilon"])


def _rms_normalization(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    y = _rms_normalized(inputs, attributes)
    return {"Y": tf().cast(y, inputs["X"].dtype) * inputs["scale"]}


def _offset_rms_normalization(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    y = _rms_normalized(inputs, attributes) * (1 + wide(inputs["scale"]))
    return {"Y": tf().cast(y, inputs["X"].dtype)}


def _layer_normalization(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, bias = wide(inputs["X"]), inputs.get("B")
    mean, variance = tf().nn.moments(x, _axes(x, attributes), keepdims=True)
    y = tf().nn.batch_normalization(
        x,
        mean,
        variance,
        offset=None if bias is None else wide(bias),
        scale=wide(inputs["Scale"]),
        variance_epsilon=attributes["epsilon"],
    )
    return {"Y": tf().cast(y, inputs["X"].dtype)}


_DEFAULTS = {"axis": -1, "epsilon": 1e-5, "stash_type": 1}

OPERATORS = {
    "LayerNormalization": (_layer_normalization, _DEFAULTS),
    "OffsetRMSNormalization": (_offset_rms_normalization, _DEFAULTS),
    "RMSNormalization": (_rms_normalization, _DEFAULTS),
}
