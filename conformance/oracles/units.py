"""A contract's unit roundoffs, and what every bound on an operator's error is made of.

Each operator's bound is a function of the fp64 inputs and of a precision contract. It holds for
every order of summation, with and without fused multiply-add, and for softmax in one pass or two;
a fault leaves it. Elementary functions (exp, log, tanh, square root and its reciprocal) are allowed
an error of 2 ulp. Nothing here looks at a candidate.

One limit: from some hundred terms on, D(K) trusts that rounding errors are independent. They are
not in one running sum of equal numbers, which stays inside to K = 4096 and is 3 bounds off at
14336; kernels that add in lanes or blocks are never near. Judge long sums on mixed signs.

Derivations follow Higham, Accuracy and Stability of Numerical Algorithms (2002), chapters 2 and 3,
to first order, softmax to every order. Letters: u unit roundoff (of accumulation a, intermediate i,
score s, probability p, output o), D(K) relative error of a sum of K products
(``precision.accumulation``), y the value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance import precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.records import Contract

    Array = NDArray[Any]

ELEMENTARY = 4.0
"""Relative error of an elementary function in unit roundoffs: 2 ulp."""


@dataclass(frozen=True, slots=True)
class Units:
    """A contract's unit roundoffs, and the numbers near zero."""

    a: float
    i: float
    s: float
    p: float
    o: float
    phase: float
    tf32: float
    tiny_a: float
    """What a result near zero may lose: the smallest subnormal, the smallest normal if flushed."""
    tiny_i: float
    tiny_p: float
    tiny_o: float
    least: float
    """Exponentials below it may become 0: the square root of 2 times the smallest normal number of
    the accumulation type. Kernels take exp(x) as 2^n times a polynomial, n the integer next to
    x log2(e), and the power of two from its bits: 2^-126 at least, or 2^-125 where 2^(n - 1) is
    doubled so that n may be 128 (OpenVINO's softmax). Then x log2(e) < -125.5 gives 0."""

    def sum(self, terms: int) -> float:
        """Return D(terms) in the accumulation type."""
        return precision.accumulation(terms, self.a)


def units(contract: Contract) -> Units:
    """Return the unit roundoffs of a contract."""
    # A directed or stochastic rounding errs by a whole spacing, one to nearest by half of it.
    directed = 1 if contract.rounding == "nearest-even" else 2
    a, i, s, p, o, phase = (
        directed * precision.unit_roundoff(name)
        for name in (
            contract.accumulation,
            contract.intermediate,
            contract.score,
            contract.probability,
            contract.output,
            contract.phase,
        )
    )
    near_zero = _smallest_normal if contract.flush_to_zero else precision.smallest_subnormal
    tiny_a, tiny_i, tiny_p, tiny_o = (
        near_zero(name)
        for name in (
            contract.accumulation,
            contract.intermediate,
            contract.probability,
            contract.output,
        )
    )
    return Units(
        a=a,
        i=max(a, i),
        s=max(a, s),
        p=max(a, p),
        o=o,
        phase=phase,
        tf32=directed * 2.0**-11 if contract.tf32 else 0.0,
        tiny_a=tiny_a,
        tiny_i=max(tiny_a, tiny_i),
        tiny_p=max(tiny_a, tiny_p),
        tiny_o=tiny_o,
        least=math.sqrt(2) * _smallest_normal(contract.accumulation),
    )


def _smallest_normal(name: str) -> float:
    return float(ml_dtypes.finfo(precision.dtype(name)).smallest_normal)


def rounded(error: Array, value: Array, u: Units) -> Array:
    """Add the rounding of a result to the output type; infinite and NaN results are exact."""
    with np.errstate(invalid="ignore"):
        total = error + u.o * np.abs(value) + u.tiny_o
    total = np.where(np.isnan(total), np.inf, total)  # which no judge takes for a bound
    bound: Array = np.where(np.isfinite(value), total, 0.0)
    return bound


def exact(value: Array) -> Array:
    """Return the bound of a result in which nothing is rounded: 0."""
    return np.zeros(value.shape)


def product_sum(a: Array, b: Array, u: Units) -> Array:
    """Bound a @ b before its last rounding: D(K) sum |a||b|, any order (Higham, section 3.1).

    TF32 rounds both factors to 11 bits: 2 u per product, and lambda times its root mean square
    where that is smaller (rounding errors of one sum are independent).
    """
    sizes = np.abs(a) @ np.abs(b)
    error: Array = u.sum(a.shape[-1]) * sizes + a.shape[-1] * u.tiny_a
    if u.tf32:
        spread = np.sqrt((a * a) @ (b * b))
        error = error + 2 * u.tf32 * np.minimum(sizes, precision.deviations() * spread)
    return error
