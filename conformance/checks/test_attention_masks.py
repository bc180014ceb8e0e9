"""Attention under a mask: what is hidden, from whom, and what the scores show of it. B, T, S."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches
from conformance.inputs.operators.attention import (
    attentions,
    poisoned,
    poisoned_attentions,
    poisons,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel, CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]
    Ints = NDArray[np.int64]


@requirement("ATTN-004")
@given(
    tokens_BT=token_batches(min_length=2),
    paddings_B=inputs.paddings,
    side=inputs.sides,
    others_BT=inputs.pad_tokens,
)
def test_hidden_tokens_do_not_change_the_others_logits(
    model: CheckedModel, tokens_BT: Ints, paddings_B: Ints, side: str, others_BT: Ints
) -> None:
    places_T = np.arange(tokens_BT.shape[1])
    hidden_BT = places_T < paddings_B[:, None]
    hidden_BT = hidden_BT if side == "left" else hidden_BT[:, ::-1]
    mask_BT = (~hidden_BT).astype(np.int64)
    changed_BT = np.where(hidden_BT, others_BT, tokens_BT)
    before, after = model.logits(tokens_BT, mask_BT), model.logits(changed_BT, mask_BT)
    judge.related(before, after, model.noise, model.contract, mask_BT)


@requirement("ATTN-006")
@given(call=attentions)
def test_a_mask_hides_the_keys_that_it_names(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
    if case.get("hides") == "keys":
        _leaves_no_trace(operators, call)


def _leaves_no_trace(operators: CheckedOperators, call: OperatorCall) -> None:
    clean = operators.compute(call)["Y"]
    for poison in poisons(operators.dtype):
        judge.bitwise_equal(operators.compute(poisoned(call, poison))["Y"], clean)


@requirement("ATTN-012")
@given(call=attentions)
def test_a_query_without_keys_answers_as_claimed(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-013")
@given(call=poisoned_attentions)
def test_what_is_no_number_under_a_mask_does_as_claimed(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-014")
@given(call=attentions)
def test_a_mask_is_broadcast_over_batch_and_heads(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-015")
@given(call=attentions)
def test_a_mask_is_broadcast_over_queries_and_continued_over_keys(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-018")
@given(call=attentions)
def test_the_scores_are_shown_as_asked_for(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-019")
@given(call=attentions)
def test_hidden_scores_are_shown_as_minus_infinity(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
