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
_PLACES = ("left", "middle", "right")
"""Where tokens of a row are hidden: a batch has a row of each."""
_COUNTS = st.integers(1, _HIDDEN)
_LONG = 500
"""Reach from which a batch has one row, which takes as long as hundreds of others."""


def reaching_rows(model: CheckedModel) -> Strategy:
    """Token ids (B, T): three rows, or one where the model looks back very far."""
    reach = FORMS[model.package.name].reach
    lengths = st.integers(reach + _HIDDEN + 1, reach + _SPARE)
    seeds, kinds = st.integers(0, 2**32 - 1), st.sampled_from(_ALPHABETS)
    rows = len(_PLACES) if reach < _LONG else 1
    return st.tuples(lengths, seeds, kinds).map(lambda drawn: _tokens(rows, *drawn))


def _tokens(rows: int, length: int, seed: int, kinds: int) -> Ints:
    numbers = np.random.default_rng(seed)
    return numbers.permutation(VOCAB)[:kinds][numbers.integers(0, kinds, (rows, length))]


def left_padding(tokens_BT: Ints) -> Strategy:
    """A mask (B, T) that hides tokens on the left of all rows but one, or of the only one."""
    counts = st.lists(_COUNTS, min_size=len(tokens_BT), max_size=len(tokens_BT))
    return st.tuples(counts, st.integers(0, len(_PLACES) - 1)).map(
        lambda drawn: np.stack(
            [
                _row(tokens_BT.shape[1], 0 if row == drawn[1] and len(tokens_BT) > 1 else c, "left")
                for row, c in enumerate(drawn[0])
            ]
        )
    )


def any_padding(tokens_BT: Ints) -> Strategy:
    """A mask (B, T) that hides tokens of each row: on the left, in the middle, on the right."""
    batch, tokens = tokens_BT.shape
    counts = st.lists(_COUNTS, min_size=batch, max_size=batch)
    return st.tuples(counts, st.permutations(_PLACES)).map(
        lambda drawn: np.stack([_row(tokens, *one) for one in zip(*drawn, strict=False)])
    )


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
