"""The router of a mixture of experts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.routing import routings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]


@requirement("ROUTER-001")
@given(call=routings)
def test_weights_are_shares_of_the_softmax_over_all_experts(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROUTER-002")
@given(call=routings)
def test_weights_are_renormalised_where_asked(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROUTER-003")
@given(call=routings)
def test_the_softmax_runs_over_the_chosen_where_they_are_chosen_first(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROUTER-004")
@given(call=routings)
def test_the_lower_index_wins_a_tie(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROUTER-005")
@given(call=routings)
def test_weights_are_scaled_in_the_end(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROUTER-006")
@given(call=routings)
def test_a_selection_bias_chooses_and_does_not_weigh(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
