"""What the families share: random arrays from a seed, and calls with other inputs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators
    from conformance.records import OperatorCall

    Array = NDArray[Any]

SEEDS = st.integers(0, 2**32 - 1)


class Numbers:
    """Random arrays of one call, all from one seed."""

    def __init__(self, operators: CheckedOperators, seed: int) -> None:
        self._random = np.random.Generator(np.random.Philox(seed))
        self._dtype = operators.dtype

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> Array:
        """Return normally distributed numbers in the type of the candidate's inputs."""
        return (self._random.standard_normal(shape) * scale + mean).astype(self._dtype)

    def below(self, bound: int, *shape: int) -> Array:
        """Return integers from 0 to ``bound`` - 1."""
        return self._random.integers(0, bound, shape, dtype=np.int64)

    def choice(self, values: tuple[int, ...], *shape: int) -> Array:
        """Return some of these integers."""
        return self._random.choice(np.array(values, dtype=np.int64), shape)

    def shuffled(self, values: Array) -> Array:
        """Return the values in any order along their first axis."""
        return self._random.permutation(values)

    def mask(self, *shape: int) -> Array:
        """Return a boolean mask in which every row of the last axis keeps at least one."""
        kept = self._random.random(shape) < 0.6  # any share that mixes both
        kept[..., 0] |= ~kept.any(axis=-1)
        return np.asarray(self._random.permuted(kept, axis=-1))


def with_inputs(call: OperatorCall, **inputs: Array) -> OperatorCall:
    """Return a call with some inputs replaced or added."""
    return dataclasses.replace(call, inputs={**call.inputs, **inputs})
