"""What every judge ends in: measurements recorded, the worst that is beyond its limit raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence
from conformance.errors import Nonconformity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.records import Measurement

    Array = NDArray[Any]


def settle(*measurements: Measurement) -> None:
    """Record all measurements, then raise for the worst that is beyond its limit."""
    for measurement in measurements:
        evidence.record(measurement)
    failed = [m for m in measurements if not m.observed <= m.limit]
    if failed:
        worst = failed[0]
        for other in failed[1:]:
            worst = evidence.worse(worst, other)
        raise Nonconformity(worst)


def comparable(one: Array, other: Array, *, types: bool = True) -> None:
    """Refuse arrays that NumPy would stretch or convert to compare them: a mistake of a check."""
    if one.shape != other.shape or (types and one.dtype != other.dtype):
        raise ValueError(
            f"a judge was given {one.dtype}{list(one.shape)} against "
            f"{other.dtype}{list(other.shape)}"
        )


def place_of(name: str, values: Array) -> tuple[str, tuple[int, ...]]:
    """Return the place of the largest value, NaN first, as text and as an index."""
    if not values.size:
        return name, ()
    flat = int(np.argmax(values))
    index = tuple(int(i) for i in np.unravel_index(flat, values.shape))
    return name_at(name, flat, values.shape), index


def name_at(name: str, flat: int, shape: tuple[int, ...]) -> str:
    """Return in words the place of an array's number, by its number in C order."""
    if 0 in shape:
        return name
    return f"{name}{[int(i) for i in np.unravel_index(flat, shape)]}"
