"""Logits against the exact ones, or against each other, in noise units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError
from conformance.judge.settling import comparable, settle
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from conformance.records import Contract, NoiseUnit

    Array = NDArray[Any]


_BLOCK = 1 << 20
"""Numbers that are compared at a time: bounds the memory beside the two arrays themselves."""


def within_noise(
    observed: Array,
    expected: Array,
    unit: NoiseUnit,
    contract: Contract,
    judged: Array | None = None,
    name: str = "logits",
) -> None:
    """Demand that the error on a corpus is rounding noise: RMS and maximum, in noise units.

    Args:
        observed: the candidate's logits, (B, T, V).
        expected: the oracle's logits in fp64, (B, T, V).
        unit: the noise unit of this model, contract and corpus.
        contract: the claimed precision, which holds the two limits.
        judged: (B, T) mask of the positions that are judged; None judges all.
        name: what is judged, where it is not the logits.
    """
    error = errors_of(observed, expected, judged, name)
    limit = limit_of(contract.noise_rms, contract)
    rms = Measurement("rms", error.rms / unit.rms, limit, "noise units", error.where, error.count)
    settle(rms, _largest(error, unit.max, limit_of(contract.noise_max, contract)))


def max_within_noise(
    observed: Array,
    expected: Array,
    unit: NoiseUnit,
    contract: Contract,
    judged: Array | None = None,
    name: str = "logits",
) -> None:
    """Demand that the largest error is rounding noise: for inputs too few for an RMS."""
    error = errors_of(observed, expected, judged, name)
    settle(_largest(error, unit.max, limit_of(contract.noise_max, contract)))


def related(
    one: Array,
    other: Array,
    unit: NoiseUnit,
    contract: Contract,
    judged: Array | None = None,
    name: str = "logits",
) -> None:
    """Demand that two answers of the candidate agree: each may be off by the noise, so sqrt(2)."""
    error = errors_of(one, np.asarray(other, dtype=np.float64), judged, name)
    limit = math.sqrt(2) * limit_of(contract.noise_max, contract)
    settle(_largest(error, unit.max, limit))


def limit_of(noise: float | None, contract: Contract) -> float:
    """Return one of a contract's two limits in noise units.

    Raises:
        SpecError: the contract has none.
    """
    if noise is None:
        raise SpecError(f"contract {contract.name} has no limit in noise units")
    return noise


class _Errors:
    """The error of one array against another, folded block by block."""

    def __init__(self) -> None:
        self.squares, self.largest, self.where, self.count = 0.0, 0.0, "", 0

    @property
    def rms(self) -> float:
        return math.sqrt(self.squares / self.count) if self.count else math.nan


def errors_of(
    observed: Array, expected: Array, judged: Array | None, name: str = "logits"
) -> _Errors:
    """Return the error of one array against another, folded over the positions that are judged."""
    comparable(observed, expected, types=False)
    total = _Errors()
    for row, block, truth in _rows(observed, expected, judged):
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs(block.astype(np.float64) - truth)
            total.squares += float(np.square(error).sum())
        total.count += error.size
        worst = np.unravel_index(int(np.argmax(error)), error.shape)  # argmax finds NaN first
        if not error[worst] <= total.largest:
            total.largest = float(error[worst])
            total.where = _place(name, row, worst)
        if math.isnan(total.largest):
            total.squares = math.nan
            break
    return total


def _rows(
    observed: Array, expected: Array, judged: Array | None
) -> Iterator[tuple[tuple[int, ...], Array, Array]]:
    """Yield the index and the two sides of each judged row of the last axis."""
    for row in np.ndindex(*expected.shape[:-1]):
        if judged is None or judged[row]:
            for start in range(0, expected.shape[-1], _BLOCK):
                part = slice(start, start + _BLOCK)
                yield (*row, start), observed[row][part], expected[row][part]


def _place(name: str, row: tuple[int, ...], worst: tuple[Any, ...]) -> str:
    *lead, start = row
    return f"{name}{[*lead, start + int(worst[0])]}"


def _largest(error: _Errors, unit: float, limit: float) -> Measurement:
    observed = error.largest / unit if error.count else math.nan
    return Measurement("max", observed, limit, "noise units", error.where, error.count)
