"""Losses."""

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

_IGNORED = -100
"""The label that PyTorch and Transformers ignore by default."""


def losses(operators: CheckedOperators) -> Strategy:
    """Mean SoftmaxCrossEntropyLoss of scores (N, C), some labels ignored, never all."""

    def make(seed: int, rows: int, classes: int, ignored: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        labels = numbers.below(classes, rows)
        labels[: min(ignored, rows - 1)] = _IGNORED
        inputs = {"scores": numbers.normal(rows, classes, scale=3.0), "labels": labels}
        attributes = {"reduction": "mean", "ignore_index": _IGNORED}
        return OperatorCall("SoftmaxCrossEntropyLoss", 13, inputs, attributes, ("output",))

    classes = st.sampled_from([2, 3, 17, 512])
    return st.builds(make, SEEDS, st.integers(2, 40), classes, st.integers(0, 30))
