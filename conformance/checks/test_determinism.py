"""The same question again: in one process, after other requests. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel, CheckedSession
    from conformance.package import ModelPackage

    Array = NDArray[Any]
    Case = Mapping[str, Any]
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


_TIMES = 50
_BETWEEN = 10
"""How often a request is repeated until another one comes between."""


@requirement("DET-002")
@given(3, tokens_BT=inputs.plain_rows, others_BT=inputs.long_rows)
def test_the_same_request_gives_the_same_bits(
    model: CheckedModel, tokens_BT: Ints, others_BT: Ints
) -> None:
    first = model.logits(tokens_BT)
    for time in range(_TIMES):
        if time % _BETWEEN == 0:
            model.logits(others_BT)
        judge.bitwise_equal(model.logits(tokens_BT), first, "logits")
    again = model.variant(_the_same)
    judge.bitwise_equal(again.logits(tokens_BT), first, "logits of the model loaded anew")


@requirement("DET-003")
@given(2, tokens_BT=inputs.batches_of)
def test_a_row_has_the_same_bits_alone_and_in_every_slot(
    model: CheckedModel, case: Case, tokens_BT: Ints
) -> None:
    together = model.logits(tokens_BT)
    alone = [model.logits(tokens_BT[slot : slot + 1]) for slot in range(case["rows"])]
    judge.bitwise_equal(together, np.concatenate(alone), "logits")


@requirement("DET-004")
@given(2, tokens_BT=inputs.rows_of_two_pages)
def test_a_row_has_the_same_bits_in_one_pass_and_in_steps(
    model: CheckedModel, tokens_BT: Ints
) -> None:
    whole, length = model.logits(tokens_BT), tokens_BT.shape[1]
    for cut in range(1, length):
        session = model.start(tokens_BT.shape[0])
        steps = [_step(session, tokens_BT, *ends) for ends in ((0, cut), (cut, length))]
        judge.bitwise_equal(np.concatenate(steps, axis=1), whole, "logits")


def _the_same(package: ModelPackage) -> ModelPackage:
    return package


def _step_of_a_session(model: CheckedModel, tokens_BT: Ints) -> Array:
    """Return the logits of rows that a session of their own is fed at once."""
    return _step(model.start(tokens_BT.shape[0]), tokens_BT, 0, tokens_BT.shape[1])


def _step(session: CheckedSession, tokens_BT: Ints, start: int, end: int) -> Array:
    """Feed unpadded rows' tokens from ``start`` to ``end``."""
    at_BT = np.broadcast_to(np.arange(start, end), (len(tokens_BT), end - start)).copy()
    return session.append(tokens_BT[:, start:end], np.ones_like(tokens_BT[:, :end]), at_BT)
