"""Lookups."""

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


def lookups(operators: CheckedOperators) -> Strategy:
    """Gather: a table (V, D) and indices (B, T) that hold the first and the last row."""

    def make(seed: int, rows: int, width: int, tokens: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        indices = numbers.below(rows, 2, tokens)
        indices[0, 0], indices[1, -1] = 0, rows - 1
        table = numbers.normal(rows, width)
        return OperatorCall(
            "Gather", 13, {"data": table, "indices": indices}, {"axis": 0}, ("output",)
        )

    return st.builds(make, SEEDS, st.integers(1, 300), st.integers(1, 40), st.integers(1, 20))
