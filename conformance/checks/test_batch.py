"""Batches. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

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
