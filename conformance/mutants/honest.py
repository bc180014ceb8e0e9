"""Variants that are no faults, though they look like some: no check may fail them.

Each changes the rounding at most. Some were reported as bugs and were none.
B batch, T tokens, D model, H heads, S keys, K head dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._attention import at_least_float32, attention

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant(
    "Rotary.phases",
    bug="generic",
    equivalent="Scores depend on the difference of two positions alone (Su et al. 2021, eq. 16).",
)
def positions_shifted_by_one(honest: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """All positions are one larger."""
    return honest(self, position_ids_BT + 1, dtype)


@mutant(
    "Decoder.forward",
    bug="unslothai/unsloth#3699",
    equivalent="In a left-padded row all positions shift by the count of padding, and scores "
    "depend on the difference of two positions alone; other rows are left as they are.",
)
def positions_count_left_padding(
    honest: Honest, self: Any, ids_BT: Any, mask_BS: Any, at_BT: Any, *others: Any, **named: Any
) -> Any:
    """In one pass, a left-padded row's positions count its padding, where positions turn heads."""
    alone = not others and named.get("cache") is None
    if alone and not self.config.learned_positions:
        padded_B1 = (mask_BS[:, :1] == 0) & (mask_BS[:, -1:] == 1)
        at_BT = at_BT + padded_B1 * (mask_BS == 0).sum(1, keepdim=True)
    return honest(self, ids_BT, mask_BS, at_BT, *others, **named)


@mutant(
    "Rotary.forward",
    bug="karpathy/nanochat#264",
    equivalent="Queries and keys are permuted alike, and a dot product does not depend on the "
    "order of its terms.",
)
def halves_laid_out_as_neighbours(honest: Honest, self: Any, x_BHTK: Any, phases: Any) -> Any:
    """Turned halves are stored as pairs of neighbours, in queries and in keys."""
    return honest(self, x_BHTK, phases).unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)


@mutant(
    "RMSNorm.forward",
    bug="huggingface/transformers#29402",
    equivalent="At fp32 the cast between the two is the identity. In bfloat16 it is a rounding "
    "that Llama has elsewhere.",
)
def norm_weight_before_the_cast(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The norms multiply by the weight before they go back to the model's type."""
    wide_BTD = x_BTD.to(at_least_float32(x_BTD.dtype))
    root_BT1 = ((wide_BTD * wide_BTD).mean(-1, keepdim=True) + self.eps).sqrt()
    return (wide_BTD / root_BT1 * self.gain()).to(x_BTD.dtype)


@mutant(
    "build_decoder",
    bug="generic",
    equivalent="Attention is linear in the values, and powers of two are exact.",
)
def values_doubled_and_output_halved(
    honest: Honest, config: Any, weights: Any, **named: Any
) -> Any:
    """Values are twice as large, and the output projection is half as large."""
    factors = {"v_proj.weight": 2.0, "v_proj.bias": 2.0, "o_proj.weight": 0.5}
    scaled = {
        name: tensor * tensor.dtype.type(factors.get(".".join(name.split(".")[-2:]), 1.0))
        for name, tensor in weights.items()
    }
    return honest(config, scaled, **named)


@mutant(
    "build_decoder",
    bug="generic",
    equivalent="The hidden units of a feed-forward are added up, and a sum has no order.",
)
def hidden_units_reversed(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The feed-forward's hidden units are numbered backwards."""
    reverse: dict[str, Any] = {
        "gate_proj.weight": (slice(None, None, -1),),
        "up_proj.weight": (slice(None, None, -1),),
        "up_proj.bias": (slice(None, None, -1),),
        "down_proj.weight": (slice(None), slice(None, None, -1)),
    }
    turned = {
        name: tensor[reverse.get(".".join(name.split(".")[-2:]), ())].copy()
        for name, tensor in weights.items()
    }
    return honest(config, turned, **named)


@mutant(
    "attend",
    bug="microsoft/onnxruntime#8549",
    equivalent="exp(-10000 - maximum) is 0 in float32 for every maximum above -9896, and where "
    "no key is visible the token is padding, which is not judged.",
)
def hidden_scores_of_minus_1e4(_: Honest, *inputs: Any) -> Any:
    """A hidden key has the score -10000."""
    return attention(inputs, hidden=-1e4)


@mutant(
    "attend",
    bug="generic",
    equivalent="The weights of a padded query are not judged, and no other token sees it.",
)
def padded_queries_answer_zero(_: Honest, *inputs: Any) -> Any:
    """A query that sees no key gets zeros, as the ONNX standard has it."""
    visible_B1T1 = inputs[3].any(-1, keepdim=True)
    return attention(inputs, weights=lambda weights_BHTS: weights_BHTS * visible_B1T1)


@mutant(
    "attend",
    bug="generic",
    equivalent="Each block is rescaled to the common maximum (Milakov and Gimelshein 2018).",
)
def softmax_in_blocks(_: Honest, *inputs: Any) -> Any:
    """The softmax of the scores is put together from blocks of 16 keys."""

    def softmax(scores_BHTS: Any) -> Any:
        blocks = scores_BHTS.split(16, dim=-1)
        highest = [block.amax(-1, keepdim=True) for block in blocks]
        parts = [(b - m).exp() for b, m in zip(blocks, highest, strict=True)]
        overall = scores_BHTS.amax(-1, keepdim=True)
        factors = [(m - overall).exp() for m in highest]
        total = sum(p.sum(-1, keepdim=True) * f for p, f in zip(parts, factors, strict=True))
        import torch  # noqa: PLC0415  # this module is imported where torch is not

        return torch.cat([p * f for p, f in zip(parts, factors, strict=True)], dim=-1) / total

    return attention(inputs, softmax=softmax)


@mutant(
    "Rotary.phases",
    bug="unsloth.ai/blog/gemma-bugs",
    equivalent="p / b and p * (1 / b) are the same number, and differ by one rounding.",
)
def positions_divided_by_powers(honest: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """Positions are divided by the powers of the base, not multiplied by their reciprocals."""
    del honest
    wide = at_least_float32(dtype)
    power_I = (1 / self.frequencies(position_ids_BT, _float64())).to(wide)
    angle_BTI = position_ids_BT.to(wide).unsqueeze(-1) / power_I
    cos_B1TI, sin_B1TI = angle_BTI.cos().unsqueeze(1), angle_BTI.sin().unsqueeze(1)
    return self.factor * cos_B1TI, self.factor * sin_B1TI


def _float64() -> Any:
    import torch  # noqa: PLC0415  # this module is imported where torch is not

    return torch.float64


@mutant(
    "logits",
    bug="huggingface/transformers#25420",
    equivalent="No token sees the padding, so that only the order of sums can change.",
)
def rows_padded_to_eight(honest: Honest, ids_BT: Any, mask_BT: Any, at_BT: Any) -> Any:
    """Rows are padded at their right to a multiple of eight tokens."""
    tokens = ids_BT.shape[1]
    more = ((0, 0), (0, -tokens % 8))
    return honest(np.pad(ids_BT, more), np.pad(mask_BT, more), np.pad(at_BT, more))[:, :tokens]


@mutant(
    "silu",
    bug="generic",
    equivalent="sigmoid(x) = (1 + tanh(x / 2)) / 2.",
)
def sigmoid_by_tanh(_: Honest, x: Any) -> Any:
    """The activation's sigmoid is computed by the hyperbolic tangent."""
    return x * (1 + (x / 2).tanh()) / 2
