"""The feed-forward block's activation and its gated units."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.activations import functions, gated_units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]


@requirement("MLP-001")
@given(call=partial(functions, operator="Swish"))
def test_silu_is_x_times_its_sigmoid(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("MLP-002")
@given(call=partial(gated_units, operator="SwiGLU"))
def test_swiglu_is_silu_of_the_gate_times_the_other(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("MLP-003")
@given(call=partial(gated_units, operator="SwiGLU"))
def test_swiglu_clamps_scales_and_adds_as_asked(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("MLP-004")
@given(call=partial(gated_units, operator="GeGLU"))
def test_geglu_is_gelu_of_the_gate_times_the_other(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
