"""Rotary position embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def rotate(x: Any, cos: Any, sin: Any, *, interleaved: bool = False) -> Any:
    """Turn the pairs of the last axis; ``cos`` and ``sin`` broadcast to half of it."""
    jnp = numpy()
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
    else:
        a, b = jnp.split(x, 2, axis=-1)
    halves = (a * cos - b * sin, a * sin + b * cos)
    if interleaved:
        return jnp.stack(halves, axis=-1).reshape(x.shape)
    return jnp.concatenate(halves, axis=-1)


def _rotary_embedding(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    jnp = numpy()
    x, cos, sin = inputs["X"], inputs["cos_cache"], inputs["sin_cache"]
    if x.ndim == 3:
        heads_BTHK = x.reshape(*x.shape[:2], attributes["num_heads"], -1)
        y = _rotary_embedding({**inputs, "X": heads_BTHK.swapaxes(1, 2)}, attributes)["Y"]
        return {"Y": y.swapaxes(1, 2).reshape(x.shape)}
    if "position_ids" in inputs:
        cos, sin = (jnp.take(cache, inputs["position_ids"], axis=0) for cache in (cos, sin))
    turned = attributes["rotary_embedding_dim"] or x.shape[-1]
    y = rotate(
        x[..., :turned], cos[:, None], sin[:, None], interleaved=bool(attributes["interleaved"])
    )
    return {"Y": jnp.concatenate((y, x[..., turned:]), axis=-1)}


OPERATORS = {
    "RotaryEmbedding": (
        _rotary_embedding,
        {"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0},
    ),
}
