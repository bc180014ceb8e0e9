"""Softmax and log-softmax."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.softmax import rows_of_logits, rows_with_holes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]


@requirement("SOFTMAX-001")
@given(call=partial(rows_of_logits, operator="Softmax"))
def test_softmax_is_normalised_exponentials(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("SOFTMAX-002")
@given(call=partial(rows_with_holes, operator="Softmax"))
def test_minus_infinity_gets_no_probability(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    outputs = operators.compute(call)
    judge.all_zero(outputs["output"][np.isneginf(call.inputs["input"])], "output[-inf]")
    judge.within_bounds(outputs, operators.expected(call))


@requirement("SOFTMAX-003")
@given(call=partial(rows_of_logits, operator="LogSoftmax"))
def test_log_softmax_is_the_logit_less_the_log_sum(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("SOFTMAX-004")
@given(call=partial(rows_of_logits, operator="Softmax"))
def test_softmax_runs_along_its_axis(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("SOFTMAX-005")
@given(call=partial(rows_of_logits, operator="Softmax"))
def test_what_is_no_number_spoils_its_own_row_alone(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("SOFTMAX-006")
@given(call=partial(rows_with_holes, operator="LogSoftmax"))
def test_minus_infinity_keeps_its_logarithm(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("SOFTMAX-007")
@given(call=partial(rows_of_logits, operator="LogSoftmax"))
def test_log_softmax_runs_along_its_axis(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
