"""Faults of linear biases (ALiBi) in a decoder, and of what else BLOOM has.

A model without them has no place for these; those of the operator AttentionWithAlibi stand in
``attention_variants``. Source: Press et al. 2022, section 3. B batch, H heads, T queries, S keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE, attention

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("slopes", kills=EVERYWHERE, bug="generic")
def slopes_of_the_number_itself(_: Honest, heads: int) -> Any:
    """Slopes are 2^(-8 h / H) of any number of heads, where it is no power of two, too."""
    return tuple(2.0 ** (-8 * head / heads) for head in range(1, heads + 1))


@mutant("slopes", kills=EVERYWHERE, bug="generic")
def slopes_of_the_next_power(honest: Honest, heads: int) -> Any:
    """Slopes are the first of the power of two above, where the number of heads is none."""
    return honest(1 << (heads - 1).bit_length())[:heads]


@mutant("slopes", kills=EVERYWHERE, bug="generic")
def slopes_between_from_the_second(_: Honest, heads: int) -> Any:
    """Heads behind the power of two take each second slope of twice as many from the second on."""
    power = 1 << (heads.bit_length() - 1)
    whole = [2.0 ** (-8 * head / power) for head in range(1, power + 1)]
    between = [2.0 ** (-8 * head / (2 * power)) for head in range(2, 2 * power + 1, 2)]
    return (*whole, *between)[:heads]


@mutant("slopes", kills=EVERYWHERE, bug="generic")
def first_slope_of_one(honest: Honest, heads: int) -> Any:
    """The first head's slope is 1: heads are counted from 0."""
    slope = honest(heads)
    power = 1 << (heads.bit_length() - 1)
    return tuple(one * 2.0 ** (8 / power) for one in slope)


@mutant("slopes", kills=EVERYWHERE, bug="generic")
def slopes_in_order_of_size(honest: Honest, heads: int) -> Any:
    """Slopes of a number of heads that is no power of two fall from head to head."""
    return tuple(sorted(honest(heads), reverse=True))


@mutant("linear_bias", kills=EVERYWHERE, bug="generic")
def linear_biases_of_the_other_sign(honest: Honest, *arguments: Any) -> Any:
    """Far keys are raised, where they are to be lowered."""
    return -honest(*arguments)


@mutant("linear_bias", kills=EVERYWHERE, bug="generic")
def linear_biases_missing(honest: Honest, *arguments: Any) -> Any:
    """No score is lowered by distance."""
    return 0 * honest(*arguments)


@mutant("attend", kills=EVERYWHERE, bug="generic")
def linear_biases_before_the_scale(honest: Honest, *inputs: Any) -> Any:
    """Biases are added to the products, and divided by the root of the head's width with them."""
    shape = inputs[4]
    if not shape.alibi:
        return honest(*inputs)
    return attention(inputs, bias=lambda bias_BHTS: bias_BHTS / shape.head_dim**0.5)


@mutant("distances", kills=("LOGITS-004",), bug="generic")
def distances_in_slots(_: Honest, allowed_B1TS: Any) -> Any:
    """A key's distance counts what the mask hides between."""
    tokens, keys = allowed_B1TS.shape[-2:]
    slot_S = allowed_B1TS.new_ones(keys).long().cumsum(0)
    return (slot_S[keys - tokens :, None] - slot_S).expand(allowed_B1TS.shape)


@mutant("distances", kills=("CACHE-001", "CACHE-002", "CACHE-003"), bug="generic")
def distances_of_this_call_alone(honest: Honest, allowed_B1TS: Any) -> Any:
    """Keys that a cache holds have no distance: biases are made for the tokens of a call."""
    tokens, keys = allowed_B1TS.shape[-2:]
    distance_B1TS = honest(allowed_B1TS).clone()
    distance_B1TS[..., : keys - tokens] = 0
    return distance_B1TS


@mutant("Decoder.embed", kills=EVERYWHERE, bug="generic")
def norm_of_the_embedding_missing(honest: Honest, self: Any, ids_BT: Any, at_BT: Any) -> Any:
    """The stream begins with the rows of tokens, which no norm has passed."""
    if not self.config.embedding_norm:
        return honest(self, ids_BT, at_BT)
    return self.model.embed_tokens(ids_BT)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def alternating_projection_cut_in_thirds(
    honest: Honest, config: Any, weights: Any, **named: Any
) -> Any:
    """Queries, keys and values in one matrix are cut in thirds, where heads alternate in it."""
    if not config.attention.alibi:
        return honest(config, weights, **named)
    cut, heads = dict(weights), config.attention.heads
    for query in [name for name in weights if ".q_proj." in name]:
        names = [query.replace("q_proj", f"{one}_proj") for one in "qkv"]
        by_heads = [weights[name].reshape(heads, 1, -1, *weights[name].shape[1:]) for name in names]
        fused = np.concatenate(by_heads, axis=1).reshape(-1, *weights[query].shape[1:])
        cut |= dict(zip(names, np.split(fused, 3), strict=True))
    return honest(config, cut, **named)
