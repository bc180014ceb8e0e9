"""Prompts of any lengths, how much is to be added, and where a continuation is to end.

Tokens are lists of integers, a list for each row: what is asked of a candidate has no padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.oracles.closed_form import FORMS, VOCAB

if TYPE_CHECKING:
    from conformance.checked import CheckedModel

    Strategy = st.SearchStrategy[Any]
    Rows = list[list[int]]

LONGEST = 40
"""Tokens of a prompt, at most, where it is to fit."""
NEW = 20
"""Tokens to be added, at most: with a prompt fewer than every model has positions."""
_BEGINNINGS = (
    "The red fox ",
    "The quiet sailor paints the ",
    "We have nuts, ",
    "17 + 25 = ",
    "7, 8, 9, 10",
    "f([x, g{",
    "copy zebra: ",
    "Η γάτα βλέπει",
    "Мой друг рису",
    "猫は毎日",
    "القط يجد",
    "Кот видит дом.\nThe ",
)
"""How texts begin that a model of bytes knows; to others they are tokens as any."""
_BYTES = 256
_ROWS = 4
"""Rows of known text: with all that is added to them enough tokens for an RMS."""
_LONG = 500
"""Reach from which one row takes as long as hundreds of others."""


def prompts(model: CheckedModel) -> Strategy:
    """From one to four rows of one to forty tokens."""
    return st.lists(_row(model), min_size=1, max_size=4)


def known_texts(model: CheckedModel) -> Strategy:
    """Four rows that each begin a text, of at most forty tokens."""
    rows = [[byte % model.vocab for byte in text.encode()][:LONGEST] for text in _BEGINNINGS]
    return st.permutations(rows).map(lambda order: order[:_ROWS])


def ragged_prompts(model: CheckedModel) -> Strategy:
    """From two to four rows whose lengths differ, one token among them."""
    one = st.lists(_token(model), min_size=1, max_size=1)
    others = st.lists(_row(model), min_size=1, max_size=3)
    return st.tuples(one, others).flatmap(lambda drawn: st.permutations([drawn[0], *drawn[1]]))


def single_tokens(model: CheckedModel) -> Strategy:
    """From one to three rows of one token."""
    return st.lists(st.lists(_token(model), min_size=1, max_size=1), min_size=1, max_size=3)


def _row(model: CheckedModel) -> Strategy:
    """The beginning of a text, cut anywhere, or any tokens."""
    anything = st.lists(_token(model), min_size=1, max_size=LONGEST)
    if model.vocab < _BYTES:
        return anything
    known = st.sampled_from([list(text.encode()) for text in _BEGINNINGS])
    cut = st.tuples(known, st.integers(1, LONGEST)).map(lambda drawn: drawn[0][: drawn[1]])
    return st.one_of(known.map(lambda row: row[:LONGEST]), cut, anything)


def _token(model: CheckedModel) -> Strategy:
    return st.integers(0, model.vocab - 1)


def new_tokens() -> Strategy:
    """How many tokens are to be added."""
    return st.integers(1, NEW)


def picks(prompts: Rows) -> Strategy:
    """A place among the added tokens for each row: where it is to end, if it can."""
    return st.lists(st.integers(0, NEW - 1), min_size=len(prompts), max_size=len(prompts))


def spans(prompts: Rows) -> Strategy:
    """A span (start, length) of the added tokens for each row: what is to end it."""
    span = st.tuples(st.integers(0, NEW - 1), st.integers(1, 6)).map(list)
    return st.lists(span, min_size=len(prompts), max_size=len(prompts))


def too_long(model: CheckedModel) -> Strategy:
    """A row of a few tokens more than the model has positions."""
    surplus, seeds = st.integers(1, 24), st.integers(0, 2**32 - 1)
    return st.tuples(surplus, seeds).map(lambda drawn: [_long_row(model, *drawn)])


def _long_row(model: CheckedModel, surplus: int, seed: int) -> list[int]:
    numbers = np.random.default_rng(seed)
    tokens = numbers.integers(0, model.vocab, model.max_positions + surplus)
    return [int(token) for token in tokens]


def reaching_prompts(model: CheckedModel) -> Strategy:
    """Two rows behind which the next logits of a closed form are defined; one of a long reach."""
    reach = FORMS[model.package.name].reach
    rows = 2 if reach < _LONG else 1
    spare = st.lists(st.integers(1, 8), min_size=rows, max_size=rows)
    return st.tuples(spare, st.integers(0, 2**32 - 1)).map(
        lambda drawn: _reaching(reach, drawn[0], drawn[1])
    )


def _reaching(reach: int, spare: list[int], seed: int) -> Rows:
    numbers = np.random.default_rng(seed)
    return [numbers.integers(0, VOCAB, reach + more).tolist() for more in spare]
