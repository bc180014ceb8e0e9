"""Faults of an encoder-decoder's distances: their rows in the tables, and the bias that these are.

T target tokens or queries, S source tokens or keys, H heads, D model.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]

_BOTH_SIDES = ("SEQ-001", "SEQ-002", "SEQ-003", "SEQ-004")
"""Requirements that see a fault in every layer of both stacks, on any tokens."""
_SOURCE = ("SEQ-001", "SEQ-003", "SEQ-004")
_TARGET = ("SEQ-002", "SEQ-003", "SEQ-004")


@mutant("encoder_decoder.bucket_of", kills=_TARGET, bug="generic")
def target_distances_of_both_sides(
    honest: Honest, ahead_TS: Any, buckets: Any, *, causal: bool
) -> Any:
    """The decoder leaves half of its rows to tokens that nobody sees, as the encoder does."""
    del causal
    return honest(ahead_TS, buckets, causal=False)


@mutant("encoder_decoder.bucket_of", kills=_SOURCE, bug="generic")
def source_distances_of_one_side(
    honest: Honest, ahead_TS: Any, buckets: Any, *, causal: bool
) -> Any:
    """All tokens behind one of the source are at distance 0 from it, as in the decoder."""
    del causal
    return honest(ahead_TS, buckets, causal=True)


@mutant("encoder_decoder.bucket_of", kills=_SOURCE, bug="generic")
def sides_of_the_source_exchanged(
    honest: Honest, ahead_TS: Any, buckets: Any, *, causal: bool
) -> Any:
    """A distance of the source is the query's place less the key's."""
    return honest(ahead_TS if causal else -ahead_TS, buckets, causal=causal)


@mutant("encoder_decoder.bucket_of", kills=_BOTH_SIDES, bug="generic")
def distances_by_their_binary_logarithm(
    honest: Honest, ahead_TS: Any, buckets: Any, *, causal: bool
) -> Any:
    """Behind the rows of one distance, each doubling of the distance has one row."""
    near = buckets.count // (2 if causal else 4)
    doubled = dataclasses.replace(buckets, max_distance=near * 2**near)
    return honest(ahead_TS, doubled, causal=causal)


@mutant("encoder_decoder.bucket_of", kills=_BOTH_SIDES, bug="generic")
def longest_distance_of_128(honest: Honest, ahead_TS: Any, buckets: Any, *, causal: bool) -> Any:
    """The last row begins where T5's does, whatever the model says."""
    return honest(ahead_TS, dataclasses.replace(buckets, max_distance=128), causal=causal)


@mutant("encoder_decoder.bucket_of", kills=("SEQ-003", "SEQ-013"), bug="generic")
def beyond_the_longest_distance_nothing(
    honest: Honest, ahead_TS: Any, buckets: Any, *, causal: bool
) -> Any:
    """As far as the longest distance and farther, tokens are at distance 0."""
    near_TS = ahead_TS * (ahead_TS.abs() < buckets.max_distance)
    return honest(near_TS, buckets, causal=causal)


@mutant("encoder_decoder.Attention.bias", kills=(*_SOURCE, "SEQ-010"), bug="generic")
def source_bias_by_place(
    honest: Honest, self: Any, queries: int, keys: int, *, causal: bool
) -> Any:
    """The bias of a source token is that of its place, whatever the query's is."""
    bias_HTS = honest(self, queries, keys, causal=causal)
    return bias_HTS if causal else bias_HTS[:, :1].expand_as(bias_HTS)


@mutant(
    "encoder_decoder.Attention.bias",
    kills=("SEQ-011", "SEQ-012", "SEQ-013", "SEQ-014"),
    bug="huggingface/candle#899",
)
def cached_bias_restarts(
    honest: Honest, self: Any, queries: int, keys: int, *, causal: bool
) -> Any:
    """A step's tokens stand where the first tokens of the target do."""
    bias_HSS = honest(self, keys, keys, causal=causal)
    return bias_HSS[:, :queries]


@mutant(
    "encoder_decoder.Attention.bias",
    kills=("SEQ-011", "SEQ-012", "SEQ-013", "SEQ-014"),
    bug="generic",
)
def cached_bias_one_ahead(
    honest: Honest, self: Any, queries: int, keys: int, *, causal: bool
) -> Any:
    """A step's tokens stand one place behind their own."""
    if queries == keys:
        return honest(self, queries, keys, causal=causal)
    return honest(self, queries, keys + 1, causal=causal)[..., :keys]


@mutant("encoder_decoder.Attention.bias", kills=("SEQ-013",), bug="generic")
def cached_bias_ends_at_64(
    honest: Honest, self: Any, queries: int, keys: int, *, causal: bool
) -> Any:
    """A cache has room for 64 distances, and begins again behind them."""
    bias_HTS = honest(self, queries, keys, causal=causal)
    if queries == keys or keys <= 64:
        return bias_HTS
    recent_HTS = honest(self, queries, 64, causal=causal) if queries <= 64 else bias_HTS
    return recent_HTS[..., [i % recent_HTS.shape[-1] for i in range(keys)]]


@mutant(
    "encoder_decoder.SelfLayer.forward",
    kills=_BOTH_SIDES,
    bug="huggingface/transformers#10221",
)
def bias_of_the_first_layer_alone(
    honest: Honest, self: Any, x_BTD: Any, bias_HTS: Any, visible: Any, past: Any = None
) -> Any:
    """Distances count in the first layer of a stack, whose tensor the table is, and in no other."""
    first = hasattr(self.SelfAttention, "relative_attention_bias")
    return honest(self, x_BTD, bias_HTS if first else 0 * bias_HTS, visible, past)


@mutant("encoder_decoder.EncoderDecoder.step", kills=_TARGET, bug="huggingface/transformers#8518")
def bias_between_source_and_target(honest: Honest, self: Any, ids_BT: Any, cache: Any) -> Any:
    """Distances between places of the target and of the source are biased, too."""
    tokens, tables = ids_BT.shape[1], self.decoder.block[0].layer[0].SelfAttention
    past = cache.own[0].keys_BHSK.shape[2] if cache.own else 0
    layers = [block.layer[1].EncDecAttention for block in self.decoder.block]
    keys = cache.source[0].keys_BHSK.shape[2]
    # Longer than both, so that each query's row and each key's column is in it.
    every_HXX = tables.bias(past + tokens + keys, past + tokens + keys, causal=True)
    bias_HTS = every_HXX[:, past : past + tokens, :keys]
    plain = [layer.forward for layer in layers]
    for layer, forward in zip(layers, plain, strict=True):
        layer.forward = lambda x, read, _, seen, forward=forward: forward(x, read, bias_HTS, seen)
    try:
        return honest(self, ids_BT, cache)
    finally:
        for layer in layers:
            del layer.forward
