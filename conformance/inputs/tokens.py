"""Generated tokens, masks, positions, and what is done to a cache. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance import evidence
from conformance.oracles.corpus import FAR, LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

    Strategy = st.SearchStrategy[Any]
    Input = Callable[..., Strategy]
    Case = Mapping[str, Any]

MOST_ROWS = 17
"""Rows of the largest batch: two whole tiles of eight and a row of a third."""
_FILLED = 512
"""The widest window that rows are made for: logits of longer ones fill the memory with a large
vocabulary."""


def token_batches(
    *, min_batch: int = 1, max_batch: int = 3, min_length: int = 1, max_length: int = 40
) -> Input:
    """Token ids (B, T) over the model's whole vocabulary, int64."""

    def make(model: CheckedModel) -> Strategy:
        ids = st.integers(0, model.vocab - 1)
        shape = st.tuples(st.integers(min_batch, max_batch), st.integers(min_length, max_length))
        return shape.flatmap(lambda bt: _ints(ids, bt))

    return make


def long_rows(model: CheckedModel) -> Strategy:
    """Token ids (1, T) of a row that is longer than most tiles of kernels."""
    lengths = st.integers(min(LONG // 2, model.max_positions), min(LONG, model.max_positions))
    return lengths.flatmap(lambda tokens: _filled(model, (1, tokens)))


def large_batches(model: CheckedModel) -> Strategy:
    """Token ids (B, T) of more rows than the tiles of kernels hold."""
    shape = st.tuples(st.integers(9, MOST_ROWS), st.integers(1, 12))
    return shape.flatmap(lambda bt: _filled(model, bt))


def wrapping_rows(model: CheckedModel) -> Strategy:
    """Token ids (1, T) of a row that just fills, and just leaves, what a cache may end at.

    That is the model's sliding window and twice that, where it has one that a row can fill; else
    the tiles of kernels, and the report says that the window was not filled.
    """
    window = model.window
    if window > _FILLED:
        evidence.note(
            f"no row fills the window of {window} keys: how a cache goes on behind it is not "
            f"evaluated (rows are made for windows of {_FILLED} keys at most)"
        )
        window = 0
    lengths = (2 * window + 1, window + 1, window) if window else (LONG + 15, LONG, LONG - 1)
    fitting = [n for n in lengths if n <= model.max_positions] or [model.max_positions]
    return st.sampled_from(fitting).flatmap(lambda tokens: _filled(model, (1, tokens)))


def plain_rows(model: CheckedModel) -> Strategy:
    """Token ids (1, T) of one row, from a seed: not all alike, which hypothesis likes to draw."""
    return st.integers(2, 40).flatmap(lambda tokens: _filled(model, (1, tokens)))


def rows_of_two_pages(model: CheckedModel) -> Strategy:
    """Token ids (B, T), a little longer than two pages of a cache."""
    shape = st.tuples(st.integers(1, 2), st.integers(33, 35))
    return shape.flatmap(lambda bt: _filled(model, bt))


def surroundings(model: CheckedModel, tokens_BT: NDArray[np.int64], case: Case) -> Strategy:
    """Token ids (2, T + padding): what stands around a padded row, and a row without padding.

    Any, or one that the padded row itself holds: what pads a row may be a token that ends texts.
    """
    shape = 2, tokens_BT.shape[1] + case["tokens"]
    own = st.sampled_from(tokens_BT[0].tolist()).map(lambda token: np.full(shape, token))
    return st.one_of(_filled(model, shape), own)


def padded_positions(
    model: CheckedModel, surroundings_BT: NDArray[np.int64], case: Case
) -> Strategy:
    """Positions of a row's padding, which mean nothing, and may be beyond those that do."""
    below = min(2 * surroundings_BT.shape[1], model.max_positions)
    return _drawn(below, (case["tokens"],))


def batches_of(model: CheckedModel, case: Case) -> Strategy:
    """Token ids (B, T) of as many rows as a case says."""
    return st.integers(1, 12).flatmap(lambda tokens: _filled(model, (case["rows"], tokens)))


def tall_batches(model: CheckedModel) -> Strategy:
    """Token ids (64, T) of the largest batch, for statistics over its numbers."""
    return _filled(model, (64, 24))


def steady_rows(model: CheckedModel) -> Strategy:
    """Token ids (B, T) of rows that 64 steps of one token feed."""
    return _filled(model, (6, 64))


def harmless_rows(model: CheckedModel) -> Strategy:
    """Token ids (1, T) that hold none of the last two, which poison a disguised model."""
    ids = st.integers(0, model.vocab - 3)
    return st.integers(1, 24).flatmap(lambda tokens: _ints(ids, (1, tokens)))


def programs(model: CheckedModel) -> Strategy:
    """What is done to a session, in order: ``append``, ``crop``, ``reorder`` or ``copy``, n each.

    How many tokens, how many stay, which rows: :func:`test_cache` reads n modulo what there is.
    """
    kinds = st.sampled_from(["append", "append", "crop", "reorder", "copy"])
    most = min(40, model.max_positions // 16)  # all steps together stay within the model
    return st.lists(st.tuples(kinds, st.integers(1, most)).map(list), min_size=2, max_size=8)


def pools(model: CheckedModel) -> Strategy:
    """Token ids (8, 400): what sessions are fed from."""
    return _filled(model, (8, 400))


def _filled(model: CheckedModel, shape: tuple[int, int]) -> Strategy:
    return _drawn(model.vocab, shape)


def _drawn(below: int, shape: tuple[int, ...]) -> Strategy:
    """Numbers from a seed: a large array in one draw, which is also made smaller quickly."""
    seeds = st.integers(0, 2**32 - 1)
    return seeds.map(lambda s: np.random.default_rng(s).integers(0, below, shape))


def _ints(numbers: st.SearchStrategy[int], shape: tuple[int, ...]) -> Strategy:
    size = int(np.prod(shape))
    flat = st.lists(numbers, min_size=size, max_size=size)
    return flat.map(lambda values: np.array(values, dtype=np.int64).reshape(shape))


def cuts(tokens_BT: NDArray[np.int64]) -> Strategy:
    """A place inside the token axis: at least one token before it and one behind it."""
    return st.integers(1, tokens_BT.shape[1] - 1)


def splits(tokens_BT: NDArray[np.int64]) -> Strategy:
    """Strictly increasing places inside the token axis, at most four of them."""
    places = st.integers(1, tokens_BT.shape[1] - 1)
    return st.lists(places, min_size=1, max_size=4, unique=True).map(sorted)


def later_tokens(model: CheckedModel, tokens_BT: NDArray[np.int64], cut: int) -> Strategy:
    """Other token ids for everything behind the cut, (B, T - cut)."""
    batch, tokens = tokens_BT.shape
    return _ints(st.integers(0, model.vocab - 1), (batch, tokens - cut))


def crops(tokens_BT: NDArray[np.int64]) -> Strategy:
    """How many tokens a cropped cache keeps: from none to all but one."""
    return st.integers(0, tokens_BT.shape[1] - 1)


def documents(tokens_BT: NDArray[np.int64]) -> Strategy:
    """The document of each token, (B, T), counted from 1; 0 is padding behind the last of them."""
    batch, tokens = tokens_BT.shape
    borders = st.lists(st.integers(1, tokens), min_size=1, max_size=5, unique=True)
    row = borders.map(lambda drawn: _packed(tokens, sorted(drawn)))
    return st.lists(row, min_size=batch, max_size=batch).map(np.stack)


def _packed(tokens: int, ends: list[int]) -> NDArray[np.int64]:
    """Return a row of documents that end at these places; what stands behind them is padding."""
    begun_T = np.bincount(ends, minlength=tokens + 1)[:tokens].cumsum()
    return np.where(begun_T < len(ends), begun_T + 1, 0).astype(np.int64)


def rows(tokens_BT: NDArray[np.int64]) -> Strategy:
    """One row of a batch."""
    return st.integers(0, tokens_BT.shape[0] - 1)


def row_choices(tokens_BT: NDArray[np.int64]) -> Strategy:
    """Which old row each new row is: rows may be lost and doubled, and become more or fewer."""
    kept = st.integers(0, tokens_BT.shape[0] - 1)
    count = st.one_of(st.just(tokens_BT.shape[0]), st.integers(1, 9))
    return count.flatmap(lambda rows: _ints(kept, (rows,)))


def paddings(tokens_BT: NDArray[np.int64]) -> Strategy:
    """How many tokens of each row are padding, (B,): some row's are, and no row's are all.

    Of rows of one token, none can be.
    """
    batch, tokens = tokens_BT.shape
    padded = _ints(st.integers(0, tokens - 1), (batch,))
    return padded.filter(np.any) if tokens > 1 else padded


def masks(tokens_BT: NDArray[np.int64]) -> Strategy:
    """Which tokens are seen, (B, T) of 0 and 1: in runs, so that holes and padding have lengths."""
    batch, tokens = tokens_BT.shape
    borders = st.lists(st.integers(0, tokens), max_size=5).map(sorted)
    row = st.tuples(st.booleans(), borders).map(lambda drawn: _runs(tokens, *drawn))
    return st.lists(row, min_size=batch, max_size=batch).map(np.stack)


def _runs(tokens: int, first: bool, borders: list[int]) -> NDArray[np.int64]:  # noqa: FBT001
    """Return a row of a mask that changes at each border; the last token of a hidden row is seen.

    The first run is seen where ``first`` says so.
    """
    changes_T = np.bincount(borders, minlength=tokens + 1)[:tokens].cumsum()
    mask_T = ((changes_T + first) % 2).astype(np.int64)
    mask_T[-1] |= not mask_T.any()
    return mask_T


def sides() -> Strategy:
    """The side on which rows are padded."""
    return st.sampled_from(["left", "right"])


def pad_tokens(model: CheckedModel, tokens_BT: NDArray[np.int64]) -> Strategy:
    """Token ids to put where a row is padded, (B, T)."""
    return _ints(st.integers(0, model.vocab - 1), tokens_BT.shape)


def position_gaps(model: CheckedModel, tokens_BT: NDArray[np.int64]) -> Strategy:
    """Positions (B, T) that grow in each row by 1 or by a leap, about as far as the corpus's.

    Not further: the rounding of an angle grows with the position, and the noise unit was measured
    on the corpus.
    """
    batch, tokens = tokens_BT.shape
    room = min(model.max_positions, FAR + tokens) - tokens
    leap = st.one_of(st.just(1), st.integers(1, max(1, room // tokens)))
    return _ints(leap, (batch, tokens)).map(
        lambda steps: np.cumsum(steps, axis=1, dtype=np.int64) - steps[:, :1]
    )
