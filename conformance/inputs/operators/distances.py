"""Losses that compare two tensors. N rows, C classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers
from conformance.records import OWN_DOMAIN, OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]
    Case = Mapping[str, Any]

_OPSET = 23


def squared_errors(operators: CheckedOperators, case: Case) -> Strategy:
    """MeanSquaredError of two tensors (N, D).

    Args:
        operators: the candidate's.
        case: ``scale`` of the targets, and ``apart``, that of the predictions' distance from them.
    """

    def make(seed: int, rows: int, size: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        targets = numbers.normal(rows, size, scale=case["scale"])
        apart = numbers.normal(rows, size, scale=case["apart"])
        return _call("MeanSquaredError", predictions=targets + apart, targets=targets)

    return st.builds(make, SEEDS, st.integers(1, 9), st.sampled_from([1, 2, 3, 17, 64, 131]))


def divergences(operators: CheckedOperators, case: Case) -> Strategy:
    """KLDivergence of two tensors of scores (N, C).

    Args:
        operators: the candidate's.
        case: the number ``classes``, and ``rows`` at most (9); ``scale`` of the scores; ``apart``,
            that of their distance, 0 for p = q; ``holes``, where both are -inf.
    """
    scale, apart = case.get("scale", 3.0), case["apart"]

    def make(seed: int, rows: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        p_NC = numbers.normal(rows, case["classes"], scale=scale)
        q_NC = p_NC + numbers.normal(*p_NC.shape, scale=apart) if apart else p_NC.copy()
        if case.get("holes", False):
            kept = numbers.mask(*p_NC.shape)
            p_NC, q_NC = (np.where(kept, x, -np.inf).astype(x.dtype) for x in (p_NC, q_NC))
        return _call("KLDivergence", p_scores=p_NC, q_scores=q_NC)

    return st.builds(make, SEEDS, st.integers(1, case.get("rows", 9)))


def _call(operator: str, **inputs: Array) -> OperatorCall:
    return OperatorCall(operator, _OPSET, inputs, {}, ("output",), OWN_DOMAIN)
