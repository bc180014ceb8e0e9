"""RMSNorm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.operators.norms import normalisations

if TYPE_CHECKING:
    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall


@requirement("NORM-001")
@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 1e3])
@given(call=normalisations)
def test_rows_are_divided_by_their_root_mean_square(
    operators: CheckedOperators, scale: float, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
