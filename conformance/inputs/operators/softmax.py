"""Softmax and log-softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers, with_inputs
from conformance.records import OperatorCall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]


def rows_of_logits(operators: CheckedOperators, operator: str, scale: float) -> Strategy:
    """Softmax or LogSoftmax over the last axis of (N, C), shifted far from zero at random."""

    def make(seed: int, rows: int, classes: int, shift: float) -> OperatorCall:
        x = Numbers(operators, seed).normal(rows, classes, scale=scale, mean=shift)
        return OperatorCall(operator, 13, {"input": x}, {"axis": -1}, ("output",))

    classes = st.sampled_from([1, 2, 3, 4, 16, 17, 257, 1000])
    shifts = st.sampled_from([0.0, 100.0, -1e4, 1e4])
    return st.builds(make, SEEDS, st.integers(1, 4), classes, shifts)


def rows_with_holes(operators: CheckedOperators) -> Strategy:
    """Softmax over rows in which some entries, never all, are minus infinity."""

    def make(call: OperatorCall, seed: int) -> OperatorCall:
        x = call.inputs["input"]
        kept = Numbers(operators, seed).mask(*x.shape)
        return with_inputs(call, input=np.where(kept, x, -np.inf).astype(x.dtype))

    return st.builds(make, rows_of_logits(operators, "Softmax", 3.0), SEEDS)
