"""What several faults share: softmax attention with one step of it replaced, and roundings.

B batch, H heads, T queries, S keys, K head dim.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[Any], Any]

EVERYWHERE = ("LOGITS-001", "LOGITS-002", "TAP-001")
"""Requirements that see a fault in every layer, on any tokens."""
SMALLEST = -3.4028234663852886e38
"""The smallest finite float32, which stands for a hidden score."""


def attention(
    inputs: tuple[Any, ...],
    *,
    scores: Step = lambda scores_BHTS: scores_BHTS,
    softmax: Step = lambda scores_BHTS: scores_BHTS.softmax(-1),
    weights: Step = lambda weights_BHTS: weights_BHTS,
    hidden: float = SMALLEST,
    bias: Step = lambda bias_BHTS: bias_BHTS,
) -> Any:
    """Return attention, (B, H, T, K); its softmax is at least float32.

    Args:
        inputs: queries, keys, values, which keys are allowed, the shape, and where there are any
            the sinks, as for ``attend``.
        scores: changes the scaled scores before the mask.
        softmax: makes probabilities of the masked scores, those of the sinks behind them.
        weights: changes the probabilities.
        hidden: the score of a hidden key.
        bias: changes what is added for a key's distance, of a model that has such biases.
    """
    q_BHTK, k_BHSK, v_BHSK, allowed_B1TS, shape, *sinks = inputs
    scores_BHTS = q_BHTK @ k_BHSK.transpose(2, 3) / math.sqrt(shape.score_dim)
    if shape.softcap is not None:
        scores_BHTS = shape.softcap * (scores_BHTS / shape.softcap).tanh()
    scores_BHTS = scores(scores_BHTS)
    scores_BHTS = scores_BHTS.to(at_least_float32(scores_BHTS.dtype))
    if shape.alibi:
        from reference_model.alibi import linear_bias  # noqa: PLC0415  # it imports torch

        scores_BHTS = scores_BHTS + bias(linear_bias(allowed_B1TS, shape.heads, scores_BHTS.dtype))
    scores_BHTS = scores_BHTS.masked_fill(~allowed_B1TS, hidden)
    scores_BHTN = _with_sinks(scores_BHTS, *sinks)
    return weights(softmax(scores_BHTN)[..., : k_BHSK.shape[2]]).to(v_BHSK.dtype) @ v_BHSK


def _with_sinks(scores_BHTS: Any, sinks_H: Any = None) -> Any:
    """Return the scores with each head's sink behind them, where it has one."""
    if sinks_H is None:
        return scores_BHTS
    import torch  # noqa: PLC0415  # this package is imported where torch is not

    sinks_BHT1 = scores_BHTS.new_empty((*scores_BHTS.shape[:-1], 1))
    sinks_BHT1[:] = sinks_H.reshape(1, -1, 1, 1)
    return torch.cat((scores_BHTS, sinks_BHT1), dim=-1)


def with_attention(config: Any, **changes: Any) -> Any:
    """Return a model's configuration with some fields of its attention changed."""
    return dataclasses.replace(config, attention=dataclasses.replace(config.attention, **changes))


def at_least_float32(dtype: Any) -> Any:
    """Return a type of torch's, or float32 where that is wider."""
    import torch  # noqa: PLC0415  # this package is imported where torch is not

    return torch.promote_types(dtype, torch.float32)


def rounded(x: Any, kind: str) -> Any:
    """Return a tensor rounded to a type of torch's, ``bfloat16`` or ``float16``, in its own."""
    import torch  # noqa: PLC0415  # this package is imported where torch is not

    return x.to(getattr(torch, kind)).to(x.dtype)
