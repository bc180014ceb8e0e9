"""Cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.losses import losses

if TYPE_CHECKING:
    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall


@requirement("LOSS-001")
@given(call=losses)
def test_the_mean_counts_labels_that_are_not_ignored(
    operators: CheckedOperators, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
