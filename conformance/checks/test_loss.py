"""Losses: cross-entropy and what is made of it, squared error, divergence."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.distances import divergences, squared_errors
from conformance.inputs.operators.losses import (
    label_smoothed,
    log_probabilities,
    losses,
    perplexities,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]


@requirement("LOSS-001")
@given(call=partial(losses, reduction="mean"))
def test_the_mean_counts_labels_that_are_not_ignored(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LOSS-002")
@given(call=partial(losses, reduction="none"))
def test_each_label_loses_minus_its_log_probability(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LOSS-003")
@given(call=partial(losses, reduction="sum"))
def test_the_sum_is_divided_by_nothing(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LOSS-004")
@given(call=partial(losses, reduction="mean"))
def test_a_weighted_mean_divides_by_the_weights(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LOSS-005")
@given(call=log_probabilities)
def test_log_prob_is_the_log_softmax(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    observed, expected = operators.compute(call), operators.expected(call)
    name = "log_prob"
    judge.within_bounds({name: observed[name]}, {name: expected[name]})


@requirement("LOSS-006")
@given(call=partial(losses, reduction="mean"))
def test_a_mean_of_no_label_is_what_the_contract_says(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LOSS-007")
@given(call=label_smoothed)
def test_label_smoothing_spreads_over_all_classes(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LOSS-008")
@given(call=squared_errors)
def test_the_mean_of_squared_errors_is_over_all_elements(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LOSS-009")
@given(call=divergences)
def test_the_divergence_is_the_mean_over_rows(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LOSS-010")
@given(call=perplexities)
def test_perplexity_is_the_exponential_of_the_mean_loss(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
