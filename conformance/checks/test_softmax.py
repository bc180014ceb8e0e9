"""Softmax and log-softmax."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.softmax import rows_of_logits, rows_with_holes

if TYPE_CHECKING:
    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

scales = pytest.mark.parametrize("scale", [0.01, 3.0, 60.0])


@requirement("SOFTMAX-001")
@scales
@given(call=partial(rows_of_logits, operator="Softmax"))
def test_softmax_is_normalised_exponentials(
    operators: CheckedOperators, scale: float, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("SOFTMAX-002")
@given(call=rows_with_holes)
def test_minus_infinity_gets_no_probability(
    operators: CheckedOperators, call: OperatorCall
) -> None:
    outputs = operators.compute(call)
    judge.all_zero(outputs["output"][np.isneginf(call.inputs["input"])], "output[-inf]")
    judge.within_bounds(outputs, operators.expected(call))


@requirement("SOFTMAX-003")
@scales
@given(call=partial(rows_of_logits, operator="LogSoftmax"))
def test_log_softmax_is_the_logit_less_the_log_sum(
    operators: CheckedOperators, scale: float, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
