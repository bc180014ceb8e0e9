"""The feed-forward block's activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.activations import activations

if TYPE_CHECKING:
    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall


@requirement("MLP-001")
@given(call=activations)
def test_silu_is_x_times_its_sigmoid(operators: CheckedOperators, call: OperatorCall) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
