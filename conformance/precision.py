"""Unit roundoffs and the bound primitive: how far honest rounding can carry a result.

Nothing here looks at a candidate. Types are named as NumPy and ml_dtypes name them.
"""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np

_FALSE_ALARM = 1e-9
"""Chance that rounding errors of a whole case leave the probabilistic bound."""


def dtype(name: str) -> np.dtype:
    """Return the NumPy type of a type name, ml_dtypes' own included."""
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def is_float(name: str) -> bool:
    """Return whether a type holds floating-point numbers."""
    return dtype(name).kind not in "iub"


def unit_roundoff(name: str) -> float:
    """Return the largest relative error of rounding once to nearest in a type: 2**-24 for fp32."""
    return float(ml_dtypes.finfo(dtype(name)).eps) / 2


def smallest_subnormal(name: str) -> float:
    """Return the spacing of a type's numbers around zero."""
    return float(ml_dtypes.finfo(dtype(name)).smallest_subnormal)


def accumulation(terms: int, unit: float, results: int = 1_000_000) -> float:
    """Return D(K, u): the relative error, in units of sum |x||w|, of adding ``terms`` products.

    The smaller of the certain bound gamma_K = K u / (1 - K u) (Higham, Accuracy and Stability of
    Numerical Algorithms, 2002, section 3.1) and the probabilistic one, lambda sqrt(K) u + K u**2
    (Higham and Mary, SIAM J. Sci. Comput. 41, 2019), with lambda = sqrt(2 ln(2 T / delta)) so
    that all T ``results`` of a case stay inside with a probability of 1 - 1e-9.

    Where K u reaches 1 (256 terms in bfloat16, 2048 in float16) a running sum stops growing, its
    errors are no longer independent, and what is left is K u, which holds for every K (Jeannerod
    and Rump, SIAM J. Matrix Anal. Appl. 34, 2013). It certifies next to nothing.
    """
    if terms * unit >= 1:
        return terms * unit
    certain = terms * unit / (1 - terms * unit)
    return min(certain, deviations(results) * math.sqrt(terms) * unit + terms * unit * unit)


def deviations(results: int = 1_000_000) -> float:
    """Return lambda: how many standard deviations none of a case's results will leave."""
    return math.sqrt(2 * math.log(2 * results / _FALSE_ALARM))
