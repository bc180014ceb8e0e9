"""Rotary position embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _rotary_embedding(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    x, cos, sin = inputs["X"], inputs["cos_cache"], inputs["sin_cache"]
    if x.ndim == 3:
        heads_BTHK = x.unflatten(-1, (attributes["num_heads"], -1))
        y = _rotary_embedding({**inputs, "X": heads_BTHK.transpose(1, 2)}, attributes)["Y"]
        return {"Y": y.transpose(1, 2).flatten(2)}
    if "position_ids" in inputs:
        cos, sin = (functional().embedding(inputs["position_ids"], cache) for cache in (cos, sin))
    cos_B1TR, sin_B1TR = cos.unsqueeze(1), sin.unsqueeze(1)
    turned = attributes["rotary_embedding_dim"] or x.shape[-1]
    rotated, kept = x[..., :turned], x[..., turned:]
    if attributes["interleaved"]:
        a, b = rotated[..., 0::2], rotated[..., 1::2]
    else:
        a, b = rotated.chunk(2, dim=-1)
    halves = (a * cos_B1TR - b * sin_B1TR, a * sin_B1TR + b * cos_B1TR)
    if attributes["interleaved"]:
        y = torch.stack(halves, dim=-1).flatten(-2)
    else:
        y = torch.cat(halves, dim=-1)
    return {"Y": torch.cat((y, kept), dim=-1)}


OPERATORS = {
    "RotaryEmbedding": (
        _rotary_embedding,
        {"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0},
    ),
}
