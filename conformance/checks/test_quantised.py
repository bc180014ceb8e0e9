"""Products of quantised operands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.quantised import (
    float8_products,
    integer_products,
    quantized_products,
    weight_products,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]


@requirement("QUANT-001")
@given(call=integer_products)
def test_products_of_integers_are_exact(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("QUANT-002")
@given(call=integer_products)
def test_zero_points_are_subtracted_first(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("QUANT-003")
@given(call=quantized_products)
def test_integer_codes_stand_for_scaled_differences(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("QUANT-006")
@given(call=quantized_products)
def test_scales_of_rows_belong_to_rows(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("QUANT-007")
@given(call=integer_products)
def test_zero_points_of_rows_are_subtracted_from_their_rows(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("QUANT-004")
@given(call=float8_products)
def test_floating_point_codes_stand_for_scaled_numbers(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("QUANT-005")
@given(call=weight_products)
def test_weights_are_scaled_by_their_own_block(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
