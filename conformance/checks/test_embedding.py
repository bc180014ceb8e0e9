"""Embedding: rows are copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.linear import lookups, special_lookups

if TYPE_CHECKING:
    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall


@requirement("EMBED-001")
@given(call=lookups)
def test_looked_up_rows_are_copies(operators: CheckedOperators, call: OperatorCall) -> None:
    rows = call.inputs["data"][call.inputs["indices"]]
    judge.bitwise_equal(operators.compute(call)["output"], rows, "output")


@requirement("EMBED-002")
@given(call=special_lookups)
def test_special_values_are_copied(operators: CheckedOperators, call: OperatorCall) -> None:
    rows = call.inputs["data"][call.inputs["indices"]]
    judge.bitwise_equal(operators.compute(call)["output"], rows, "output")
