"""Norms, as models in JAX write them: statistics in float32, the result in the type of x."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import lax, nn, numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def rms_norm(x: Any, scale: Any, epsilon: float, axis: int = -1) -> Any:
    """Return x over its root mean square from ``axis`` on, times the scale; JAX has no such."""
    return (_normed(x, epsilon, axis) * _wide(scale)).astype(x.dtype)


def _wide(x: Any) -> Any:
    return x.astype(numpy().float32)


def _normed(x: Any, epsilon: float, axis: int) -> Any:
    wide = _wide(x)
    square = numpy().mean(numpy().square(wide), axis=_axes(x, axis), keepdims=True)
    return wide * lax().rsqrt(square + epsilon)


def _axes(x: Any, first: int) -> tuple[int, ...]:
    return tuple(range(first % x.ndim, x.ndim))


def _rms_normalization(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    x, scale = inputs["X"], inputs["scale"]
    return {"Y": rms_norm(x, scale, attributes["epsilon"], attributes["axis"])}


def _offset_rms_normalization(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    x, offset = inputs["X"], 1 + _wide(inputs["scale"])
    return {"Y": rms_norm(x, offset, attributes["epsilon"], attributes["axis"])}


def _layer_normalization(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    x, epsilon = inputs["X"], attributes["epsilon"]
    axes = _axes(x, attributes["axis"])
    # JAX's default takes the variance as E[x^2] - E[x]^2, which keeps no digits of a far mean.
    y = nn().standardize(_wide(x), axes, epsilon=epsilon, algorithm="stable")
    y = y * _wide(inputs["Scale"])
    y = y + _wide(inputs["B"]) if "B" in inputs else y
    return {"Y": y.astype(x.dtype)}


_DEFAULTS = {"axis": -1, "epsilon": 1e-5, "stash_type": 1}

OPERATORS = {
    "LayerNormalization": (_layer_normalization, _DEFAULTS),
    "OffsetRMSNormalization": (_offset_rms_normalization, _DEFAULTS),
    "RMSNormalization": (_rms_normalization, _DEFAULTS),
}
