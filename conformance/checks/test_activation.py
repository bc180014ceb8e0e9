"""Activation functions of one number."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.activations import functions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]


@requirement("ACT-001")
@given(call=partial(functions, operator="Sigmoid"))
def test_the_sigmoid_runs_from_0_to_1(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ACT-002")
@given(call=partial(functions, operator="Tanh"))
def test_tanh_is_right_near_0_and_far_away(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ACT-003")
@given(call=partial(functions, operator="Relu"))
def test_relu_keeps_positive_numbers_alone(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ACT-004")
@given(call=partial(functions, operator="Gelu", approximate="none"))
def test_gelu_is_x_times_the_normal_distribution(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ACT-005")
@given(call=partial(functions, operator="Gelu", approximate="tanh"))
def test_gelu_by_tanh_is_a_function_of_its_own(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ACT-006")
@given(call=partial(functions, operator="Swish"))
def test_swish_scales_inside_the_sigmoid(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
