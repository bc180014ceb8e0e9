"""In which types the oracle's decoder computes: fp64, or an honest implementation of a contract.

A type narrower than the accumulation is emulated: compute wide, then round once to store. Where
operators may be fused, an implementation may round in between or not; a contract whose intermediate
type is narrow allows both, and honest implementations differ just there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.records import Contract

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The types of a computation, named as NumPy and ml_dtypes name them."""

    compute: str = "float64"
    """The type of every operation, sums included."""
    weight: str = "float64"
    storage: str = "float64"
    """The type to which the result of every operator is rounded."""
    intermediate: str = "float64"
    score: str = "float64"
    probability: str = "float64"
    phase: str = "float64"
    """The type of frequencies and angles."""
    output: str = "float64"
    unfused: frozenset[str] = frozenset()
    """The places of :data:`PLACES` where a result inside an operator is rounded to be stored."""
    frequencies: str = "power"
    """How frequencies are computed: see ``operators.rotary.frequencies``."""
    blocks: int = 1
    """Parts in which the sum of a matrix product is taken, one after the other."""
    tf32: bool = False
    """Whether matrix products read their factors with 11 bits."""

    def load(self, weight: Array) -> Array:
        """Return a weight, or part of one, rounded to the weight's type, ready to compute with."""
        weight = np.asarray(weight)  # one that is put in order when it is read is read now
        if _narrows(weight.dtype, self.weight):
            weight = weight.astype(precision.dtype(self.weight))
        return weight.astype(self.compute)

    def matmul(self, a: Array, b: Array) -> Array:
        """Return a @ b, summed up as this implementation does."""
        if self.tf32:
            a, b = _tf32(a), _tf32(b)
        length = a.shape[-1]
        step = max(1, -(-length // self.blocks))
        total: Array = a[..., :step] @ b[..., :step, :]
        for start in range(step, length, step):
            total += a[..., start : start + step] @ b[..., start : start + step, :]
        return total

    def store(self, x: Array) -> Array:
        """Round the result of an operator."""
        return _through(x, self.storage)

    def between(self, place: str, x: Array) -> Array:
        """Round inside of an operator, if this implementation is not fused at ``place``."""
        return _through(x, getattr(self, PLACES[place])) if place in self.unfused else x


PLACES = {
    "norm": "intermediate",
    "rotation": "intermediate",
    "scores": "score",
    "weights": "probability",
    "mlp": "intermediate",
    "sum": "intermediate",
}
"""Where an implementation may round inside an operator, and the term that says to which type.

Before the scale of a norm, cosines and sines, scores and weights of attention, after SiLU;
of encoders, before a bias or the last of three embeddings is added.
"""

FP64 = Arithmetic()
"""The truth."""


def honest(contract: Contract) -> tuple[Arithmetic, ...]:
    """Return the ways of computing that a contract allows, eight of them.

    Where a place's type is narrower than the accumulation it is fused in half of them, in eight
    different combinations. The formula of the frequencies alternates, and sums are taken whole or
    in blocks; the permutations of ``ensemble`` change their order.
    """
    wide = np.dtype(contract.accumulation)
    narrow = {place for place, term in PLACES.items() if _narrows(wide, getattr(contract, term))}
    return tuple(
        Arithmetic(
            compute=contract.accumulation,
            weight=contract.weight,
            storage=contract.input,
            intermediate=contract.intermediate,
            score=contract.score,
            probability=contract.probability,
            phase=contract.phase,
            output=contract.output,
            unfused=_unfused(i) & narrow,
            frequencies=("power", "exponential")[i % 2],
            blocks=_BLOCKS[i],
            tf32=contract.tf32,
        )
        for i in range(8)
    )


_BLOCKS = (1, 1, 2, 1, 1, 4, 1, 8)
"""Most kernels add up whole rows; those that split the sum err less, and must not set the unit."""


def _unfused(i: int) -> frozenset[str]:
    """Return the places where way ``i`` of eight rounds; scores and weights go together."""
    first, second, third = i & 1, i >> 1 & 1, i >> 2 & 1
    bits = (first, second, third, third, first ^ second ^ third, second ^ third)
    return frozenset(place for place, bit in zip(PLACES, bits, strict=True) if bit)


@functools.cache  # it is asked about every result of every operator
def _narrows(dtype: np.dtype[Any], name: str) -> bool:
    """Say whether rounding from ``dtype`` to type ``name`` loses anything."""
    return precision.unit_roundoff(name) > precision.unit_roundoff(dtype.name) or (
        dtype.name == "float16" and name == "bfloat16"
    )


def _through(x: Array, name: str) -> Array:
    if not _narrows(x.dtype, name):
        return x
    with np.errstate(over="ignore"):  # beyond the type's range is infinity, as in hardware
        return x.astype(precision.dtype(name)).astype(x.dtype)


def _tf32(x: Array) -> Array:
    """Return float32 numbers rounded to nearest with the 11 bits that TF32 keeps."""
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    rounded: Array = ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
    return rounded
