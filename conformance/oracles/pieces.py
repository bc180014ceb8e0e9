"""Pieces of the oracle's decoder: which keys are seen, what is capped, and how much at a time.

Shape letters are those of ``decoder``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

BLOCK = 1 << 22
"""Numbers of a temporary array that are computed at a time."""
ROWS = 1 << 20
"""Numbers of a weight that are converted at a time: few enough that caches hold them, and that the
memory is used again, which takes a fourth of the time of pages that are new."""


def capped(x: Array, cap: float | None) -> Array:
    """Return numbers of any shape bent softly so that they stay within a cap."""
    if cap is None:
        return x
    bent: Array = x.dtype.type(cap) * np.tanh(x / x.dtype.type(cap))
    return bent


def seen_keys(mask_BS: Ints, asked_T: Ints, window: int | None) -> Array:
    """Return which keys the queries at some places of a row see, (B, T, S).

    Each sees itself and what stands before it, whatever its position, but for what the mask hides;
    with a window the last so many places alone, its own first, hidden ones too.
    """
    key_S = np.arange(mask_BS.shape[1])
    seen_TS = key_S <= asked_T[:, None]
    if window is not None:
        seen_TS &= key_S > asked_T[:, None] - window
    seen: Array = seen_TS & (mask_BS[:, None] != 0)
    return seen


def blocks(length: int, width: int, most: int) -> Iterator[slice]:
    """Yield slices of ``length`` so that ``width`` numbers for each stay within ``most``."""
    step = max(1, most // max(1, width))
    for start in range(0, length, step):
        yield slice(start, start + step)
