"""Products of matrices, and Gemm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.linear import (
    empty_products,
    gemms,
    laid_out,
    products,
    special_products,
    squares,
    stacked_products,
    without_rows,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]


@requirement("LINEAR-001")
@given(call=products)
def test_every_term_of_a_sum_counts(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LINEAR-002")
@given(call=stacked_products)
def test_leading_axes_broadcast(operators: CheckedOperators, call: OperatorCall) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LINEAR-003")
@given(call=squares)
def test_the_layout_in_memory_does_not_matter(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(laid_out(call, case)), operators.expected(call))


@requirement("LINEAR-004")
@given(call=special_products)
def test_infinity_and_nan_reach_what_they_are_a_term_of(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("LINEAR-005")
@given(call=empty_products)
def test_a_sum_of_no_terms_is_zero(operators: CheckedOperators, call: OperatorCall) -> None:
    judge.all_zero(operators.compute(call)["Y"])
    nothing = without_rows(call)
    judge.within_bounds(operators.compute(nothing), operators.expected(nothing))


@requirement("LINEAR-006")
@given(call=gemms)
def test_gemm_scales_a_product_and_adds_to_it(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
