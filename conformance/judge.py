"""Judgements: compare what a candidate answered with what an oracle says. Nothing runs a model.

Every judge records what it measured, whether or not it was within the limit, and raises
:class:`Nonconformity` when it was not. Comparisons are written ``not observed <= limit``, so that
NaN fails. No judge takes a bare tolerance: limits come from a noise unit and a precision contract,
or from a bound that the oracle derived for this very input.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence, schema
from conformance.errors import FormatError, Nonconformity, PackageError, SpecError
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from conformance.oracles.standard import Expected
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
) -> None:
    """Demand that the error on a corpus is rounding noise: RMS and maximum, in noise units.

    Args:
        observed: the candidate's logits, (B, T, V).
        expected: the oracle's logits in fp64, (B, T, V).
        unit: the noise unit of this model, contract and corpus.
        contract: the claimed precision, which holds the two limits.
        judged: (B, T) mask of the positions that are judged; None judges all.
    """
    error = _errors(observed, expected, judged)
    limit = _limit(contract.noise_rms, contract)
    rms = Measurement("rms", error.rms / unit.rms, limit, "noise units", "", error.count)
    _settle(rms, _largest(error, unit.max, _limit(contract.noise_max, contract)))


def max_within_noise(
    observed: Array,
    expected: Array,
    unit: NoiseUnit,
    contract: Contract,
    judged: Array | None = None,
) -> None:
    """Demand that the largest error is rounding noise: for inputs too few for an RMS."""
    error = _errors(observed, expected, judged)
    _settle(_largest(error, unit.max, _limit(contract.noise_max, contract)))


def related(
    one: Array, other: Array, unit: NoiseUnit, contract: Contract, judged: Array | None = None
) -> None:
    """Demand that two answers of the candidate agree: each may be off by the noise, so sqrt(2)."""
    error = _errors(one, np.asarray(other, dtype=np.float64), judged)
    limit = math.sqrt(2) * _limit(contract.noise_max, contract)
    _settle(_largest(error, unit.max, limit))


def _limit(noise: float | None, contract: Contract) -> float:
    if noise is None:
        raise SpecError(f"contract {contract.name} has no limit in noise units")
    return noise


def within_bounds(outputs: Mapping[str, Array], expected: Mapping[str, Expected]) -> None:
    """Demand that each error is within the rounding error bound that the oracle derived for it.

    The measurement is rho, the largest ratio of error to bound. A bound of zero demands equality,
    and so do infinite and NaN expected values.

    Args:
        outputs: the candidate's outputs by formal name.
        expected: the oracle's, each an fp64 value with its bound, of the same shapes.
    """
    _settle(*(_rho(name, outputs[name], e.value, e.bound) for name, e in expected.items()))


def _rho(name: str, observed: Array, expected: Array, bound: Array) -> Measurement:
    _comparable(observed, expected, types=False)
    if np.isinf(bound).any():
        raise SpecError(f"the oracle's bound of {name} is infinite: it would pass any answer")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = np.abs(observed.astype(np.float64) - expected)
        rho = np.where(error <= 0, 0.0, error / bound)
    special = ~np.isfinite(expected)
    rho = np.where(special, _differs(observed, expected), rho)
    place, index = _index(name, rho)
    worst = float(rho[index]) if rho.size else 0.0
    return Measurement("rho", worst, 1.0, "bounds", place, rho.size)


def bitwise_equal(one: Array, other: Array, name: str = "Y") -> None:
    """Demand that two arrays are the same bit for bit, NaN payloads and signed zeros included."""
    _comparable(one, other)
    same = _bits(one) == _bits(other)
    place, _ = _index(name, np.where(same, 0.0, 1.0))
    _settle(Measurement("differing", float((~same).sum()), 0.0, "numbers", place, same.size))


def all_zero(observed: Array, name: str = "Y") -> None:
    """Demand that every number is zero exactly."""
    wrong = ~(observed == 0)
    place, _ = _index(name, np.where(wrong, 1.0, 0.0))
    _settle(Measurement("nonzero", float(wrong.sum()), 0.0, "numbers", place, wrong.size))


def all_finite(observed: Array, name: str = "logits") -> None:
    """Demand that no number is NaN or infinite."""
    wrong = ~np.isfinite(observed.astype(np.float64))
    place, _ = _index(name, np.where(wrong, 1.0, 0.0))
    _settle(Measurement("non-finite", float(wrong.sum()), 0.0, "numbers", place, wrong.size))


def follows_schema(kind: str, document: Any) -> None:
    """Demand that a document follows one of the suite's schemas."""
    accepted(f"of schema {kind}", lambda: schema.validate(kind, document))


def accepted(what: str, read: Callable[[], object]) -> None:
    """Demand that ``read`` takes what it is given; ``what`` says of what a refusal is one."""
    try:
        read()
        fault = None
    except (FormatError, PackageError) as error:
        fault = error
    measurement = Measurement("violations", float(fault is not None), 0.0, what, "", 1)
    evidence.record(measurement)
    if fault is not None:
        raise Nonconformity(measurement, str(fault)) from fault


def unchanged(what: str, before: str, after: str) -> None:
    """Demand that two digests are the same."""
    _settle(Measurement("changes", float(before != after), 0.0, what, "", 1))


class _Errors:
    """The error of one array against another, folded block by block."""

    def __init__(self) -> None:
        self.squares, self.largest, self.where, self.count = 0.0, 0.0, "", 0

    @property
    def rms(self) -> float:
        return math.sqrt(self.squares / self.count) if self.count else math.nan


def _errors(observed: Array, expected: Array, judged: Array | None) -> _Errors:
    _comparable(observed, expected, types=False)
    total = _Errors()
    for row, block, truth in _rows(observed, expected, judged):
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs(block.astype(np.float64) - truth)
            total.squares += float(np.square(error).sum())
        total.count += error.size
        worst = np.unravel_index(int(np.argmax(error)), error.shape)  # argmax finds NaN first
        if not error[worst] <= total.largest:
            total.largest = float(error[worst])
            total.where = _place("logits", row, worst)
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


def _differs(observed: Array, expected: Array) -> Array:
    same = (observed == expected) | (np.isnan(observed.astype(np.float64)) & np.isnan(expected))
    return np.where(same, 0.0, np.inf)


def _comparable(one: Array, other: Array, *, types: bool = True) -> None:
    """Refuse arrays that NumPy would stretch or convert to compare them: a mistake of a check."""
    if one.shape != other.shape or (types and one.dtype != other.dtype):
        raise ValueError(
            f"a judge was given {one.dtype}{list(one.shape)} against "
            f"{other.dtype}{list(other.shape)}"
        )


def _bits(array: Array) -> Array:
    array = np.ascontiguousarray(array)
    return array.view(np.dtype(f"u{array.dtype.itemsize}"))


def _index(name: str, values: Array) -> tuple[str, tuple[int, ...]]:
    """Return the place of the largest value, NaN first, as text and as an index."""
    if not values.size:
        return name, ()
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(values)), values.shape))
    return f"{name}{list(index)}", index


def _settle(*measurements: Measurement) -> None:
    """Record all measurements, then raise for the worst that is beyond its limit."""
    for measurement in measurements:
        evidence.record(measurement)
    failed = [m for m in measurements if not m.observed <= m.limit]
    if failed:
        worst = failed[0]
        for other in failed[1:]:
            worst = evidence.worse(worst, other)
        raise Nonconformity(worst)
