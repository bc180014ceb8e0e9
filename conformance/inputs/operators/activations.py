"""Activation functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers
from conformance.records import OperatorCall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]


def activations(operators: CheckedOperators) -> Strategy:
    """Swish with alpha 1 (SiLU) over ordinary numbers and the tails."""

    def make(seed: int, size: int) -> OperatorCall:
        x = Numbers(operators, seed).normal(size, scale=4.0)
        tails = np.array([-90.0, -88.0, -20.0, -6.0, -2.0, -0.0, 0.0, 20.0, 90.0], dtype=x.dtype)
        return OperatorCall("Swish", 24, {"X": np.concatenate([x, tails])}, {"alpha": 1.0})

    return st.builds(make, SEEDS, st.integers(1, 300))
