"""Rotary phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers
from conformance.records import OWN_DOMAIN, OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.checked import CheckedOperators

    Strategy = st.SearchStrategy[Any]

_INTEGERS = ("dim", "original_max_position_embeddings", "truncate")


def phases(operators: CheckedOperators, case: Mapping[str, Any]) -> Strategy:
    """RotaryPhases at positions (B, T) of a case, the first of which is always the last token's.

    Args:
        operators: the operators under check, for the type of the answers.
        case: ``positions``, and the operator's attributes by name.
    """
    positions = tuple(case["positions"])
    given = {n: _attribute(n, value) for n, value in case.items() if n != "positions"}
    attributes = {**given, "dtype": operators.dtype.name}

    def make(seed: int, rows: int, tokens: int) -> OperatorCall:
        at = Numbers(operators, seed).choice(positions, rows, tokens)
        at[:, -1] = positions[0]
        inputs = {"position_ids": at}
        return OperatorCall("RotaryPhases", 23, inputs, attributes, ("cos", "sin"), OWN_DOMAIN)

    return st.builds(make, SEEDS, st.integers(1, 3), st.sampled_from([1, 2, 3, 9, 32, 33]))


def _attribute(name: str, value: Any) -> Any:
    """Return a number as the operator takes it; JSON tells integers from floats by their look."""
    if isinstance(value, list):
        return [float(number) for number in value]
    return value if isinstance(value, str) or name in _INTEGERS else float(value)
