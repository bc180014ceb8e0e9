"""Generated inputs of encoder-decoders. B batch, S source tokens, T target tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.inputs.encoder import drawn, holes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedEncoderDecoder

    Ints = NDArray[np.int64]
    Strategy = st.SearchStrategy[Any]

_MOST_ROWS, _MOST_SOURCE, _MOST_TARGET = 4, 40, 24
_MOST_PADDING = 40


def sources(model: CheckedEncoderDecoder) -> Strategy:
    """Source token ids (B, S) from a seed: not all alike, which hypothesis likes to draw."""
    shape = st.tuples(st.integers(1, _MOST_ROWS), st.integers(3, _MOST_SOURCE))
    return shape.flatmap(lambda bs: drawn(model.vocab, bs))


def several_sources(model: CheckedEncoderDecoder) -> Strategy:
    """Source token ids (B, S) of two rows at least."""
    shape = st.tuples(st.integers(2, _MOST_ROWS), st.integers(3, _MOST_SOURCE))
    return shape.flatmap(lambda bs: drawn(model.vocab, bs))


def targets(model: CheckedEncoderDecoder, source_BS: Ints) -> Strategy:
    """Target token ids (B, T), two at least in each row, the first of them the start token."""
    lengths = st.integers(2, _MOST_TARGET)
    return lengths.flatmap(lambda t: _begun(model, drawn(model.vocab, (len(source_BS), t))))


def masks(source_BS: Ints) -> Strategy:
    """Which source tokens are seen, (B, S): in each row a run is hidden, at a side or inside."""
    return holes(source_BS)


def other_sources(model: CheckedEncoderDecoder, source_BS: Ints) -> Strategy:
    """Other source token ids (B, S), each different from the one in its place."""
    steps = drawn(model.vocab - 1, source_BS.shape)
    return steps.map(lambda step_BS: (source_BS + 1 + step_BS) % model.vocab)


def other_targets(model: CheckedEncoderDecoder, target_BT: Ints) -> Strategy:
    """Other target token ids (B, T), each different from the one in its place."""
    steps = drawn(model.vocab - 1, target_BT.shape)
    return steps.map(lambda step_BT: (target_BT + 1 + step_BT) % model.vocab)


def padding(model: CheckedEncoderDecoder, source_BS: Ints) -> Strategy:
    """Token ids (B, N) that are put in front of a source."""
    lengths = st.integers(1, _MOST_PADDING)
    return lengths.flatmap(lambda n: drawn(model.vocab, (len(source_BS), n)))


def inner_places(source_BS: Ints) -> Strategy:
    """A place in a source with tokens at both of its sides."""
    return st.integers(1, source_BS.shape[1] - 2)


def cuts(target_BT: Ints) -> Strategy:
    """A place between two target tokens."""
    return st.integers(1, target_BT.shape[1] - 1)


def pieces(target_BT: Ints) -> Strategy:
    """Where a target is cut into steps: places between tokens, in order; mostly single tokens."""
    between = list(range(1, target_BT.shape[1]))
    some = st.lists(st.sampled_from(between), unique=True, min_size=1).map(sorted)
    return st.one_of(st.just(between), some)


def picked_rows(source_BS: Ints) -> Strategy:
    """Which rows a session goes on with: all in another order, or some, some of them twice."""
    rows = list(range(len(source_BS)))
    some = st.lists(st.sampled_from(rows), min_size=1, max_size=_MOST_ROWS + 1)
    return st.one_of(st.permutations(rows), some)


def _begun(model: CheckedEncoderDecoder, targets: Strategy) -> Strategy:
    def begin(ids_BT: Ints) -> Ints:
        start_B1 = np.full((len(ids_BT), 1), model.start_token)
        return np.concatenate([start_B1, ids_BT[:, 1:]], axis=1)

    return targets.map(begin)
