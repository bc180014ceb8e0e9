"""Norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers
from conformance.records import OperatorCall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]


def normalisations(operators: CheckedOperators, scale: float) -> Strategy:
    """RMSNormalization over D of X (N, D), whose RMS is ``scale``; some rows have a mean."""

    def make(seed: int, rows: int, width: int, mean: float, epsilon: float) -> OperatorCall:
        numbers = Numbers(operators, seed)
        x = numbers.normal(rows, width, scale=scale, mean=mean * scale)
        weight = numbers.normal(width, mean=1.0, scale=0.5)
        return OperatorCall(
            "RMSNormalization", 23, {"X": x, "scale": weight}, {"axis": -1, "epsilon": epsilon}
        )

    widths = st.sampled_from([1, 2, 3, 7, 64, 127, 128, 131, 1024])
    epsilons = st.sampled_from([1e-5, 1e-6])
    means = st.sampled_from([0.0, 3.0])
    return st.builds(make, SEEDS, st.integers(1, 5), widths, means, epsilons)
