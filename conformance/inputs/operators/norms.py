"""Norms. X has N rows of D features."""

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

_WIDTHS = st.sampled_from([1, 2, 3, 7, 64, 127, 128, 131, 1024])
_EPSILONS = st.sampled_from([1e-5, 1e-6])
_SMALL = 0.01
"""A size of values at which epsilon shows."""


def normalisations(operators: CheckedOperators, case: Case) -> Strategy:
    """RMSNormalization over D of X (N, D), whose RMS is ``scale``; some rows have a mean.

    ``outlier`` is a value that each row has one of.
    """

    def make(seed: int, rows: int, width: int, mean: float, epsilon: float) -> OperatorCall:
        numbers, scale = Numbers(operators, seed), case["scale"]
        x = numbers.normal(rows, width, scale=scale, mean=mean * scale)
        if "outlier" in case:
            x[np.arange(rows), numbers.below(width, rows)] = case["outlier"]
        return _rms(x, numbers.normal(width, mean=1.0, scale=0.5), epsilon=epsilon)

    means = st.sampled_from([0.0, 3.0])
    return st.builds(make, SEEDS, st.integers(1, 5), _WIDTHS, means, _EPSILONS)


def _rms(x: Array, weight: Array, *, epsilon: float, axis: int = -1) -> OperatorCall:
    inputs, attributes = {"X": x, "scale": weight}, {"axis": axis, "epsilon": epsilon}
    return OperatorCall("RMSNormalization", 23, inputs, attributes)


def rows_of_zeros(operators: CheckedOperators) -> Strategy:
    """RMSNormalization of X (N, D) in which some rows are zero."""

    def make(seed: int, rows: int, width: int, epsilon: float) -> OperatorCall:
        numbers = Numbers(operators, seed)
        x, weight = numbers.normal(rows, width, scale=_SMALL), numbers.normal(width)
        x[1:][numbers.below(2, rows - 1) == 0] = 0
        x[-1] = 0
        return _rms(x, weight, epsilon=epsilon)

    return st.builds(make, SEEDS, st.integers(2, 5), _WIDTHS, _EPSILONS)


def joined_axes(operators: CheckedOperators) -> Strategy:
    """RMSNormalization over the last two axes of X (N, T, D), scale (T, D) or (D,)."""

    def make(seed: int, rows: int, width: int, shared: bool) -> OperatorCall:  # noqa: FBT001  # drawn
        numbers = Numbers(operators, seed)
        x = numbers.normal(rows, 3, width, scale=_SMALL)
        x *= np.arange(1, 4, dtype=operators.dtype)[:, None]
        weight = numbers.normal(*((width,) if shared else (3, width)), mean=1.0, scale=0.5)
        return _rms(x, weight, epsilon=1e-5, axis=1)

    return st.builds(make, SEEDS, st.integers(1, 3), _WIDTHS, st.booleans())


def offset_normalisations(operators: CheckedOperators, case: Case) -> Strategy:
    """OffsetRMSNormalization over D of X (N, D), weights of ``spread`` around ``weight``."""

    def make(seed: int, rows: int, width: int, epsilon: float) -> OperatorCall:
        numbers = Numbers(operators, seed)
        weight = numbers.normal(width, mean=case["weight"], scale=case["spread"])
        inputs = {"X": numbers.normal(rows, width, scale=case["scale"]), "scale": weight}
        # 11 is ONNX's number of double, 1 that of float.
        stash = 11 if operators.dtype == np.float64 else 1
        attributes = {"axis": -1, "epsilon": epsilon, "stash_type": stash}
        return OperatorCall("OffsetRMSNormalization", 23, inputs, attributes, domain=OWN_DOMAIN)

    return st.builds(make, SEEDS, st.integers(1, 5), _WIDTHS, _EPSILONS)


def layer_normalisations(operators: CheckedOperators, case: Case) -> Strategy:
    """LayerNormalization over D of X (N, D), of the standard deviation ``scale`` around ``mean``.

    ``bias`` says whether there is one, ``constant`` that all values of a row are equal.
    """

    def make(seed: int, rows: int, width: int, epsilon: float) -> OperatorCall:
        numbers = Numbers(operators, seed)
        x = numbers.normal(rows, width, scale=case["scale"], mean=case["mean"])
        if case.get("constant"):
            x = np.repeat(x[:, :1], width, axis=1)
        inputs = {"X": x, "Scale": numbers.normal(width, mean=1.0, scale=0.5)}
        if case.get("bias"):
            inputs["B"] = numbers.normal(width)
        attributes = {"axis": -1, "epsilon": epsilon}
        return OperatorCall("LayerNormalization", 17, inputs, attributes)

    widths = st.sampled_from(case["widths"])
    return st.builds(make, SEEDS, st.integers(1, 5), widths, _EPSILONS)
