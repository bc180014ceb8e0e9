"""Rotary position embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _rotary_embedding(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, cos, sin = inputs["X"], inputs["cos_cache"], inputs["sin_cache"]
    if x.shape.rank == 3:
        batch, tokens, _ = tf().unstack(tf().shape(x))
        heads_BTHK = tf().reshape(x, (batch, tokens, attributes["num_heads"], -1))
        heads_BHTK = tf().transpose(heads_BTHK, (0, 2, 1, 3))
        y = _rotary_embedding({**inputs, "X": heads_BHTK}, attributes)["Y"]
        return {"Y": tf().reshape(tf().transpose(y, (0, 2, 1, 3)), (batch, tokens, -1))}
    if "position_ids" in inputs:
        cos, sin = (tf().gather(cache, inputs["position_ids"]) for cache in (cos, sin))
    cos_B1TR, sin_B1TR = cos[:, None], sin[:, None]
    turned = attributes["rotary_embedding_dim"] or tf().shape(x)[-1]
    rotated, kept = x[..., :turned], x[..., turned:]
    if attributes["interleaved"]:
        a, b = rotated[..., 0::2], rotated[..., 1::2]
    else:
        a, b = rotated[..., : turned // 2], rotated[..., turned // 2 :]
    halves = (a * cos_B1TR - b * sin_B1TR, a * sin_B1TR + b * cos_B1TR)
    if attributes["interleaved"]:
        y = tf().reshape(tf().stack(halves, axis=-1), tf().shape(rotated))
    else:
        y = tf().concat(halves, axis=-1)
    return {"Y": tf().concat((y, kept), axis=-1)}


OPERATORS = {
    "RotaryEmbedding": (
        _rotary_embedding,
        {"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0},
    ),
}
