"""Outputs of operators, number by number: within a derived bound, or the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError
from conformance.judge.settling import comparable, name_at, place_of, settle
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.closed_form import Answer
    from conformance.oracles.standard import Expected

    Array = NDArray[Any]

_BLOCK = 1 << 20
"""Numbers that are looked at at a time, where an array may be as large as a model."""


def within_bounds(outputs: Mapping[str, Array], expected: Mapping[str, Expected]) -> None:
    """Demand that each error is within the rounding error bound that the oracle derived for it.

    The measurement is rho, the largest ratio of error to bound. A bound of zero demands equality,
    and so do infinite and NaN expected values.

    Args:
        outputs: the candidate's outputs by formal name.
        expected: the oracle's, each an fp64 value with its bound, of the same shapes.
    """
    settle(*(rho_of(name, outputs[name], e.value, e.bound) for name, e in expected.items()))


def rho_of(name: str, observed: Array, expected: Array, bound: Array) -> Measurement:
    """Return the largest ratio of error to bound; a bound of zero demands equality."""
    comparable(observed, expected, types=False)
    if np.isinf(bound).any():
        raise SpecError(f"the oracle's bound of {name} is infinite: it would pass any answer")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = np.abs(observed.astype(np.float64) - expected)
        rho = np.where(error <= 0, 0.0, error / bound)
    special = ~np.isfinite(expected)
    rho = np.where(special, _differs(observed, expected), rho)
    place, index = place_of(name, rho)
    worst = float(rho[index]) if rho.size else 0.0
    return Measurement("rho", worst, 1.0, "bounds", place, rho.size)


def _differs(observed: Array, expected: Array) -> Array:
    same = (observed == expected) | (np.isnan(observed.astype(np.float64)) & np.isnan(expected))
    return np.where(same, 0.0, np.inf)


def equals_closed_form(observed: Array, answer: Answer, name: str = "logits") -> None:
    """Demand the numbers of a closed form: the same where it is exact, near where it is rounded.

    Args:
        observed: the candidate's logits, (B, T, V).
        answer: the closed form's, with the rows (B, T) in which it is defined.
        name: what is judged.
    """
    comparable(observed, answer.value_BTV, types=False)
    judged = np.broadcast_to(answer.defined_BT[..., None], observed.shape)
    error = np.abs(observed.astype(np.float64) - answer.value_BTV)
    exact = judged & (answer.bound_BTV == 0)
    found = []
    if exact.any():
        wrong = exact & ~(error == 0)
        place, _ = place_of(name, np.where(wrong, error, 0.0))
        count = int(exact.sum())
        found.append(Measurement("differing", float(wrong.sum()), 0.0, "numbers", place, count))
    rounded = judged & (answer.bound_BTV > 0)
    if rounded.any():
        bound = np.where(rounded, answer.bound_BTV, 1.0)
        rho = np.where(rounded, error / bound, 0.0)
        place, index = place_of(name, rho)
        count = int(rounded.sum())
        found.append(Measurement("rho", float(rho[index]), 1.0, "bounds", place, count))
    settle(*found)


def bitwise_equal(one: Array, other: Array, name: str = "Y") -> None:
    """Demand that two arrays are the same bit for bit, NaN payloads and signed zeros included."""
    comparable(one, other)
    same = _bits(one) == _bits(other)
    place, _ = place_of(name, np.where(same, 0.0, 1.0))
    settle(Measurement("differing", float((~same).sum()), 0.0, "numbers", place, same.size))


def _bits(array: Array) -> Array:
    array = np.ascontiguousarray(array)
    return array.view(np.dtype(f"u{array.dtype.itemsize}"))


def all_zero(observed: Array, name: str = "Y") -> None:
    """Demand that every number is zero exactly."""
    wrong = ~(observed == 0)
    place, _ = place_of(name, np.where(wrong, 1.0, 0.0))
    settle(Measurement("nonzero", float(wrong.sum()), 0.0, "numbers", place, wrong.size))


def all_finite(observed: Array, name: str = "logits") -> None:
    """Demand that no number is NaN or infinite; a weight mapped from a file is read in blocks."""
    flat, found = observed.reshape(-1), []
    for start in range(0, flat.size, _BLOCK):
        wrong = ~np.isfinite(flat[start : start + _BLOCK].astype(np.float64))
        found.append((int(wrong.sum()), start + int(np.argmax(wrong))))
    count = sum(wrong for wrong, _ in found)
    first = next((at for wrong, at in found if wrong), 0)
    place = name_at(name, first, observed.shape)
    settle(Measurement("non-finite", float(count), 0.0, "numbers", place, observed.size))
