"""Rotary position embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers
from conformance.records import OperatorCall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]

POSITIONS = (0, 1, 2, 15, 16, 255, 256, 257, 1023)
"""Borders at which positions are known to go wrong: low precision, tables, windows."""


def rotations(operators: CheckedOperators, *, interleaved: bool) -> Strategy:
    """RotaryEmbedding of X (B, H, T, K) at positions from :data:`POSITIONS`, in any order."""

    def make(seed: int, heads: int, half: int, tokens: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        angle = np.outer(np.arange(POSITIONS[-1] + 1), 10000.0 ** (-np.arange(half) / half))
        inputs = {
            "X": numbers.normal(2, heads, tokens, 2 * half),
            "cos_cache": np.cos(angle).astype(operators.dtype),
            "sin_cache": np.sin(angle).astype(operators.dtype),
            "position_ids": numbers.choice(POSITIONS, 2, tokens),
        }
        return OperatorCall("RotaryEmbedding", 23, inputs, {"interleaved": int(interleaved)})

    heads, halves, tokens = st.integers(1, 4), st.sampled_from([1, 2, 4, 8, 32]), st.integers(1, 9)
    return st.builds(make, SEEDS, heads, halves, tokens)
