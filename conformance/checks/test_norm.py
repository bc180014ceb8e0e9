"""RMSNorm, as Llama and as Gemma have it, and LayerNorm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.norms import (
    joined_axes,
    layer_normalisations,
    normalisations,
    offset_normalisations,
    rows_of_zeros,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]


@requirement("NORM-001")
@given(call=normalisations)
def test_rows_are_divided_by_their_root_mean_square(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("NORM-002")
@given(call=normalisations)
def test_an_outlier_does_not_spoil_the_sum_of_squares(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("NORM-003")
@given(call=rows_of_zeros)
def test_rows_of_zeros_stay_zero(operators: CheckedOperators, call: OperatorCall) -> None:
    outputs = operators.compute(call)
    judge.all_zero(outputs["Y"][(call.inputs["X"] == 0).all(axis=-1)])
    judge.within_bounds(outputs, operators.expected(call))


@requirement("NORM-004")
@given(call=joined_axes)
def test_the_mean_is_over_all_axes_from_the_given_one(
    operators: CheckedOperators, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("NORM-005")
@given(call=offset_normalisations)
def test_the_scale_is_one_plus_the_weight(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("NORM-006")
@given(call=layer_normalisations)
def test_rows_are_centred_and_divided_by_their_deviation(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("NORM-007")
@given(call=layer_normalisations)
def test_the_variance_keeps_its_digits_beside_a_large_mean(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("NORM-008")
@given(call=layer_normalisations)
def test_rows_of_equal_values_become_the_bias(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
