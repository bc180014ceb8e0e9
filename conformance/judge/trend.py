"""Whether an error grows with something that it has nothing to do with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.judge.settling import settle
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from conformance.records import NoiseUnit

    Array = NDArray[Any]

_RISE = 0.25
"""Noise units: what an error may rise by. See ``tolerances.py`` for the measurements."""


def without_trend(squares: Sequence[Array], unit: NoiseUnit, along: str) -> None:
    """Demand that an error does not grow along a series of levels, however small it is.

    The rise is that of the least-squares line through the RMS errors of all levels, from its first
    to its last: many numbers stand behind each, so that it is known far better than one error.

    Args:
        squares: squared errors of each level, in the order in which a faulty one would grow.
        unit: the noise unit.
        along: what the levels are.
    """
    errors_L = np.array([np.sqrt(np.mean(level)) for level in squares]) / unit.rms
    place_L = np.linspace(-0.5, 0.5, len(errors_L))
    rise = float(place_L @ errors_L / (place_L @ place_L))
    count = sum(level.size for level in squares)
    falls = rise < 0  # NaN does not
    settle(
        Measurement(f"rise with {along}", 0.0 if falls else rise, _RISE, "noise units", "", count)
    )
