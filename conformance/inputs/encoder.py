"""Generated inputs of encoders. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedEncoder

    Ints = NDArray[np.int64]
    Strategy = st.SearchStrategy[Any]

_MOST_ROWS, _MOST_TOKENS = 4, 40


def batches(model: CheckedEncoder) -> Strategy:
    """Token ids (B, T) from a seed: not all alike, which hypothesis likes to draw."""
    shape = st.tuples(st.integers(1, _MOST_ROWS), st.integers(3, _MOST_TOKENS))
    return shape.flatmap(lambda bt: drawn(model.vocab, bt))


def several_rows(model: CheckedEncoder) -> Strategy:
    """Token ids (B, T) of two rows at least."""
    shape = st.tuples(st.integers(2, _MOST_ROWS), st.integers(3, _MOST_TOKENS))
    return shape.flatmap(lambda bt: drawn(model.vocab, bt))


def token_types(model: CheckedEncoder, tokens_BT: Ints) -> Strategy:
    """Token types (B, T): segments, or any."""
    batch, tokens = tokens_BT.shape
    segments = st.integers(1, tokens).map(lambda cut: _segments(tokens_BT, cut, model.types))
    return st.one_of(segments, drawn(model.types, (batch, tokens)))


def others(model: CheckedEncoder, tokens_BT: Ints) -> Strategy:
    """Other token ids (B, T), each different from the one in its place."""
    steps = drawn(model.vocab - 1, tokens_BT.shape)
    return steps.map(lambda step_BT: (tokens_BT + 1 + step_BT) % model.vocab)


def other_types(model: CheckedEncoder, types_BT: Ints) -> Strategy:
    """Other token types (B, T), each different from the one in its place, where there are two."""
    steps = drawn(max(1, model.types - 1), types_BT.shape)
    return steps.map(lambda step_BT: (types_BT + 1 + step_BT) % model.types)


def inner_places(tokens_BT: Ints) -> Strategy:
    """A place in a row with tokens at both of its sides."""
    return st.integers(1, tokens_BT.shape[1] - 2)


def holes(tokens_BT: Ints) -> Strategy:
    """Which tokens are seen, (B, T): in each row a run is hidden, at either side or inside."""
    batch, tokens = tokens_BT.shape
    run = st.tuples(st.integers(0, tokens - 1), st.integers(1, tokens - 1))
    return st.lists(run, min_size=batch, max_size=batch).map(
        lambda runs: np.stack([_without(tokens, *run) for run in runs])
    )


def _without(tokens: int, start: int, length: int) -> Ints:
    """Return a row of a mask without a run that goes around its end, as padding at both sides."""
    mask_T = np.ones(tokens, np.int64)
    mask_T[(start + np.arange(length)) % tokens] = 0
    return mask_T


def _segments(tokens_BT: Ints, cut: int, types: int) -> Ints:
    """Return type 0 up to a cut in each row, and the last type behind it."""
    behind_T = np.arange(tokens_BT.shape[1]) >= cut
    return np.broadcast_to(behind_T * (types - 1), tokens_BT.shape).astype(np.int64)


def drawn(below: int, shape: tuple[int, ...]) -> Strategy:
    """Integers from a seed: a large array in one draw, which is also made smaller quickly."""
    seeds = st.integers(0, 2**32 - 1)
    return seeds.map(lambda seed: np.random.default_rng(seed).integers(0, below, shape))
