"""Calls that two candidates are both given: the same numbers, each in the type of its own inputs.

Numbers are drawn in the coarser of the two types. Where the ranges differ too, bfloat16 against
float16, they are rounded to what both types hold.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hypothesis import strategies as st

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Strategy = st.SearchStrategy[Any]


def for_both(make: Callable[..., Strategy]) -> Callable[..., Strategy]:
    """Return an input maker that draws what ``make`` does, in the coarser type of two candidates.

    Args:
        make: a maker of calls, of ``operators`` and perhaps of a ``case``.
    """

    def drawn(
        operators: CheckedOperators,
        other_operators: CheckedOperators,
        case: Mapping[str, Any] | None = None,
    ) -> Strategy:
        coarser = max(operators, other_operators, key=_roundoff)
        offered = {"operators": coarser, "case": case}
        taken = inspect.signature(make).parameters
        return make(**{name: value for name, value in offered.items() if name in taken})

    return drawn


def of_each(
    call: OperatorCall, operators: CheckedOperators, other_operators: CheckedOperators
) -> tuple[OperatorCall, OperatorCall]:
    """Return a drawn call in the input types of two candidates: the same numbers in both."""
    if operators.dtype == other_operators.dtype:
        return call, call
    both = (operators, other_operators)
    coarse, fine = (f(both, key=_roundoff).dtype for f in (max, min))
    shared = _in_type(_in_type(call, coarse, fine), fine, coarse)
    one, other = (_in_type(shared, coarse, fine) if o.dtype == fine else shared for o in both)
    return one, other


def _roundoff(operators: CheckedOperators) -> float:
    return precision.unit_roundoff(operators.dtype.name)


def _in_type(call: OperatorCall, old: np.dtype[Any], new: np.dtype[Any]) -> OperatorCall:
    with np.errstate(over="ignore", under="ignore"):  # what one type lacks, both are not given
        inputs = {
            name: array.astype(new) if array.dtype == old else array
            for name, array in call.inputs.items()
        }
    return dataclasses.replace(call, inputs=inputs)
