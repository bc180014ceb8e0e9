"""Activation functions and gated units."""

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

_NAMES = {
    "Sigmoid": (13, "X", "Y"),
    "Tanh": (13, "input", "output"),
    "Relu": (14, "X", "Y"),
    "Swish": (24, "X", "Y"),
    "Gelu": (20, "X", "Y"),
}
"""Opset, input and output of each function of one number."""
_OWN_OPSET = 23
_SPECIAL = {"infinity": np.inf, "minus-infinity": -np.inf, "nan": np.nan}
_SIZES = st.sampled_from([0, 1, 2, 3, 7, 8, 15, 16, 31, 33, 64, 127, 257])
"""Around the widths of vector registers, whose remainders are computed by other code."""


def functions(
    operators: CheckedOperators, case: Case, operator: str, approximate: str = ""
) -> Strategy:
    """A function of one number over normal numbers and the case's own, in any order.

    Args:
        operators: the candidate's.
        case: ``scale`` and ``mean`` of the normal numbers, ``values`` and the word ``special``
            of others, and the attribute ``alpha``.
        operator: its name.
        approximate: the attribute, where it has one.
    """
    opset, x, y = _NAMES[operator]
    attributes = {"approximate": approximate} if approximate else _attributes(case, "alpha")

    def make(seed: int, size: int, *, strided: bool) -> OperatorCall:
        array = _elements(Numbers(operators, seed), case, size)
        inputs = {x: np.repeat(array, 2)[::2] if strided else array}
        return OperatorCall(operator, opset, inputs, attributes, (y,))

    return st.builds(make, SEEDS, _SIZES, strided=st.booleans())


def gated_units(operators: CheckedOperators, case: Case, operator: str) -> Strategy:
    """SwiGLU or GeGLU of gate and up (N, F), each as in ``functions``, with the case's attributes.

    ``approximate`` is a word; the others, ``alpha``, ``limit`` and ``offset``, are numbers.
    """
    attributes = _attributes(case, "alpha", "limit", "offset")
    if "approximate" in case:
        attributes["approximate"] = case["approximate"]

    def make(seed: int, rows: int, size: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        inputs = {
            name: np.stack([_elements(numbers, case, size) for _ in range(rows)])
            for name in ("gate", "up")
        }
        return OperatorCall(operator, _OWN_OPSET, inputs, attributes, domain=OWN_DOMAIN)

    return st.builds(make, SEEDS, st.integers(1, 3), _SIZES)


def _elements(numbers: Numbers, case: Case, size: int) -> Array:
    x = numbers.normal(size, scale=case.get("scale", 4.0), mean=case.get("mean", 0.0))
    others = list(case.get("values", ()))
    if "special" in case:
        others.append(_SPECIAL[case["special"]])
    return numbers.shuffled(np.concatenate([x, np.array(others).astype(x.dtype)]))


def _attributes(case: Case, *names: str) -> dict[str, Any]:
    return {name: float(case[name]) for name in names if name in case}
