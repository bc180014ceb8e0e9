"""Batches. B batch, T tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import inputs, judge, models
from conformance.checks import requirement
from conformance.inputs import given, token_batches
from conformance.oracles.corpus import default_positions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

    Array = NDArray[Any]
    Case = Mapping[str, Any]
    Ints = NDArray[np.int64]


@requirement("BATCH-001")
@given(tokens_BT=token_batches(min_batch=2, max_batch=5))
def test_a_row_alone_gives_the_logits_that_it_gives_in_a_batch(
    model: CheckedModel, tokens_BT: Ints
) -> None:
    together = model.logits(tokens_BT)
    for row in range(tokens_BT.shape[0]):
        alone = model.logits(tokens_BT[row : row + 1])
        judge.related(alone, together[row : row + 1], model.noise, model.contract)


@requirement("BATCH-001")
@given(tokens_BT=inputs.large_batches, row=inputs.rows)
def test_a_row_alone_gives_the_logits_that_it_gives_in_a_large_batch(
    model: CheckedModel, tokens_BT: Ints, row: int
) -> None:
    together = model.logits(tokens_BT)
    for place in {row, tokens_BT.shape[0] - 1}:
        alone = model.logits(tokens_BT[place : place + 1])
        judge.related(alone, together[place : place + 1], model.noise, model.contract)


@requirement("BATCH-002")
@given(
    5,
    tokens_BT=inputs.plain_rows,
    surroundings_BT=inputs.surroundings,
    at_N=inputs.padded_positions,
)
def test_padding_changes_nothing_of_a_row(
    model: CheckedModel, case: Case, tokens_BT: Ints, surroundings_BT: Ints, at_N: Ints
) -> None:
    padded = _padded(model, tokens_BT, surroundings_BT, case["side"])
    padded.positions_BT[0, padded.mask_BT[0] == 0] = at_N
    judge.related(padded.row_of(model), model.logits(tokens_BT), model.noise, model.contract)


@requirement("BATCH-003")
@given(2, tokens_BT=inputs.batches_of)
def test_every_slot_of_every_batch_gives_a_row_its_own_logits(
    model: CheckedModel, case: Case, tokens_BT: Ints
) -> None:
    together = model.logits(tokens_BT)
    alone = [model.logits(tokens_BT[slot : slot + 1]) for slot in range(case["rows"])]
    judge.related(together, np.concatenate(alone), model.noise, model.contract)


@requirement("BATCH-004")
@given(
    6,
    tokens_BT=token_batches(max_batch=1, max_length=12),
    long_BT=inputs.long_rows,
    side=inputs.sides,
)
def test_a_neighbour_that_is_much_longer_changes_nothing(
    model: CheckedModel, tokens_BT: Ints, long_BT: Ints, side: str
) -> None:
    padded = _padded(model, tokens_BT, np.repeat(long_BT, 2, axis=0), side)
    judge.related(padded.row_of(model), model.logits(tokens_BT), model.noise, model.contract)


@requirement("BATCH-005")
@given(8, tokens_BT=inputs.harmless_rows, side=inputs.sides)
def test_what_is_huge_or_no_number_stays_where_it_is(
    model: CheckedModel, case: Case, tokens_BT: Ints, side: str
) -> None:
    poisoned = model.variant(models.disguised)
    poison = model.vocab + case["token"]
    alone = poisoned.logits(tokens_BT)
    around_BT = np.full((2, tokens_BT.shape[1] + 9), poison)
    if case["under_mask"]:
        around_BT[1] = tokens_BT[0, 0]
        padded = _padded(model, tokens_BT, around_BT, side)
        beside = padded.row_of(poisoned)
    else:
        rows_BT = np.concatenate([tokens_BT, around_BT[:, : tokens_BT.shape[1]]])
        beside = poisoned.logits(rows_BT)[:1]
    known = slice(0, -len(models.POISON))  # a tied head holds the poison, too
    judge.related(beside[..., known], alone[..., known], model.noise, model.contract)


_SIZES = (1, 2, 4, 8, 16, 32, 64)
_ROWS = 8
"""Rows over which an error is averaged."""


@requirement("BATCH-006")
@given(2, tokens_BT=inputs.tall_batches)
def test_the_error_of_a_row_does_not_grow_with_its_batch(
    model: CheckedModel, tokens_BT: Ints
) -> None:
    exact = model.expected(tokens_BT[:_ROWS])
    levels = []
    for size in _SIZES:
        batches = (np.roll(tokens_BT, -row, axis=0)[:size] for row in range(_ROWS))
        levels.append(_squares(np.stack([model.logits(b)[0] for b in batches]), exact))
    judge.without_trend(levels, model.noise, "the number of rows")


@requirement("BATCH-006")
@given(2, tokens_BT=inputs.tall_batches)
def test_the_error_of_a_row_does_not_grow_with_its_slot(
    model: CheckedModel, tokens_BT: Ints
) -> None:
    exact = model.expected(tokens_BT[:_ROWS])
    slots = len(tokens_BT)
    rows = [model.logits(np.repeat(row_T[None], slots, axis=0)) for row_T in tokens_BT[:_ROWS]]
    levels = [_squares(np.stack([row[slot] for row in rows]), exact) for slot in range(slots)]
    judge.without_trend(levels, model.noise, "the slot")


def _squares(observed: Array, exact: Array) -> Array:
    return np.square(observed.astype(np.float64) - exact)


@dataclass(frozen=True)
class _Padded:
    """A batch of two rows: one with padding, and its neighbour without."""

    ids_BT: Ints
    mask_BT: Ints
    positions_BT: Ints
    place: slice
    """Where the first row's own tokens stand."""

    def row_of(self, model: CheckedModel) -> Array:
        """Return a model's logits of the first row's own tokens, (1, T, V)."""
        return model.logits(self.ids_BT, self.mask_BT, self.positions_BT)[:1, self.place]


def _padded(model: CheckedModel, tokens_BT: Ints, around_BT: Ints, side: str) -> _Padded:
    """Put a row of tokens (1, T) into the first of two rows, padded at one side.

    The neighbour's positions stay within the model, and end with the last one repeated.
    """
    ids_BT, mask_BT = around_BT.copy(), np.ones_like(around_BT)
    own, length = tokens_BT.shape[1], around_BT.shape[1]
    place = slice(length - own, length) if side == "left" else slice(0, own)
    mask_BT[0] = 0
    ids_BT[0, place], mask_BT[0, place] = tokens_BT[0], 1
    at_BT = np.minimum(default_positions(mask_BT), model.max_positions - 1)
    return _Padded(ids_BT, mask_BT, at_BT, place)
