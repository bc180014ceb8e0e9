"""The same question again: in one process, after other requests. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

    Ints = NDArray[np.int64]


@requirement("DET-001")
@given(
    10,
    tokens_BT=token_batches(max_length=12),
    others_BT=token_batches(max_batch=5),
    long_BT=inputs.long_rows,
)
def test_a_request_leaves_nothing_to_the_next(
    model: CheckedModel, tokens_BT: Ints, others_BT: Ints, long_BT: Ints
) -> None:
    first = model.logits(tokens_BT)
    for between_BT in (others_BT, long_BT):
        model.logits(between_BT)
        judge.related(model.logits(tokens_BT), first, model.noise, model.contract)
        _step_of_a_session(model, between_BT)
        judge.related(_step_of_a_session(model, tokens_BT), first, model.noise, model.contract)


def _step_of_a_session(model: CheckedModel, tokens_BT: Ints) -> NDArray[np.floating]:
    """Return the logits of rows that a session of their own is fed at once."""
    at_BT = np.broadcast_to(np.arange(tokens_BT.shape[1]), tokens_BT.shape).copy()
    return model.start(tokens_BT.shape[0]).append(tokens_BT, np.ones_like(tokens_BT), at_BT)
