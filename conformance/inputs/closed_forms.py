"""Rows for models with a closed form, long enough that some logits are defined.

B batch, T tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.oracles.closed_form import FORMS, VOCAB

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

    Strategy = st.SearchStrategy[Any]
    Ints = NDArray[np.int64]

_SPARE = 24
"""Tokens of a row beyond the reach of its model, at most; a third of them may be hidden."""
_HIDDEN = _SPARE // 3
_ALPHABETS = (4, VOCAB)
"""Tokens of few kinds repeat, those of all kinds hardly ever do."""


def reaching_rows(model: CheckedModel) -> Strategy:
    """Token ids (B, T): one to three rows, one where the model looks back very far."""
    reach = FORMS[model.package.name].reach
    rows = st.integers(1, 3 if reach < 500 else 1)
    shape = st.tuples(rows, st.integers(reach + _HIDDEN + 1, reach + _SPARE))
    drawn = st.tuples(shape, st.integers(0, 2**32 - 1), st.sampled_from(_ALPHABETS))
    return drawn.map(lambda d: _tokens(*d))


def _tokens(shape: tuple[int, int], seed: int, kinds: int) -> Ints:
    numbers = np.random.default_rng(seed)
    return numbers.permutation(VOCAB)[:kinds][numbers.integers(0, kinds, shape)]


def left_padding(tokens_BT: Ints) -> Strategy:
    """A mask (B, T) that hides up to eight tokens on the left of each row."""
    return _hidden(tokens_BT, st.just("left"))


def any_padding(tokens_BT: Ints) -> Strategy:
    """A mask (B, T) that hides up to eight tokens of each row: on a side, or in its middle."""
    return _hidden(tokens_BT, st.sampled_from(["left", "middle", "right"]))


def _hidden(tokens_BT: Ints, places: st.SearchStrategy[str]) -> Strategy:
    batch, tokens = tokens_BT.shape
    row = st.tuples(st.integers(0, _HIDDEN), places)
    rows = st.lists(row, min_size=batch, max_size=batch)
    return rows.map(lambda drawn: np.stack([_row(tokens, *one) for one in drawn]))


def _row(tokens: int, hidden: int, place: str) -> Ints:
    start = {"left": 0, "middle": (tokens - hidden) // 2, "right": tokens - hidden}[place]
    mask_T = np.ones(tokens, np.int64)
    mask_T[start : start + hidden] = 0
    return mask_T


def late_splits(tokens_BT: Ints) -> Strategy:
    """Strictly increasing places among the last tokens, from one to six: steps of a cache."""
    tokens = tokens_BT.shape[1]
    places = st.integers(max(1, tokens - _SPARE), tokens - 1)
    return st.lists(places, min_size=1, max_size=6, unique=True).map(sorted)
