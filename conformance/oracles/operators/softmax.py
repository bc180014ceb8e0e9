"""Softmax and log-softmax.

The error of a softmax comes from the error d_j of each exponent: the logarithm of a weight moves
by at most |d_j| + ln(sum_k p_k exp|d_k|). That holds to every order, so the bounds stay honest
where scores are large and first-order formulas are not. |d_j| holds 3 u (max - s_j): the
difference is rounded, and kernels that use powers of two multiply it by a rounded log2(e).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.row import Operator
from conformance.oracles.units import ELEMENTARY, Units, rounded, units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]


def softmax(x: Array, axis: int = -1) -> Array:
    """Return exp(x - max) / sum; entries of -inf give exactly 0, a row of them NaN."""
    with np.errstate(invalid="ignore"):
        e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    y: Array = e / np.sum(e, axis=axis, keepdims=True)
    return y


def log_softmax(x: Array, axis: int = -1) -> Array:
    """Return x - max - log(sum(exp(x - max))); entries of -inf stay -inf."""
    with np.errstate(invalid="ignore"):
        shifted = x - np.max(x, axis=axis, keepdims=True)
    y: Array = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return y


EXPONENT = 3.0
"""Error of an exponent, in unit roundoffs of its distance to the maximum."""


def softmax_bound(x: Array, contract: Contract, axis: int = -1) -> Array:
    """Bound softmax: p_j [d_j + sum_k p_k d_k + D(n) + 9 u + 2 u_i], d_j = 3 u (m - s_j).

    9 u are two exponentials of 2 ulp, that of the weight and those of the sum, and the quotient; 2
    u_i the roundings of the exponentials and of their sum to the intermediate type (PyTorch on CPU
    has the first of them along all axes but the last). An entry of -inf gives exactly 0.
    """
    u, p = units(contract), softmax(x, axis)
    depth = depth_below_maximum(x, axis)
    error = weights_error(x, p, EXPONENT * u.a * depth, u, axis) + 2 * u.i * p
    return np.where(np.isneginf(x), 0.0, rounded(error, p, u))


def depth_below_maximum(x: Array, axis: int) -> Array:
    """Return max - x, and 0 where that is not finite."""
    with np.errstate(invalid="ignore"):
        depth = np.max(x, axis=axis, keepdims=True) - x
    return np.where(np.isfinite(depth), depth, 0.0)


def weights_error(x: Array, p: Array, exponent: Array, u: Units, axis: int) -> Array:
    """Bound weights ``p`` of which each exponent errs by ``exponent``, without their rounding."""
    relative = _common(p, exponent, axis) + exponent
    relative = relative + u.sum(x.shape[axis]) + (2 * ELEMENTARY + 1) * u.a
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.nan_to_num(p * np.expm1(relative), nan=0.0, posinf=np.inf)
    # Whatever the error of the exponents, a weight lies between 0 and 1. Many an exponential knows
    # no subnormal results (ONNX Runtime's MLAS, OpenVINO), flushed or not.
    bound: Array = np.minimum(error, 1.0) + u.least
    return bound


def _common(p: Array, exponent: Array, axis: int) -> Array:
    """Return ln(sum p exp(error)): what the errors of all exponents do to the sum."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        inflated = np.nan_to_num(p * np.expm1(exponent), nan=0.0, posinf=np.inf)
        total: Array = np.log1p(np.sum(inflated, axis=axis, keepdims=True))
    return total


def log_softmax_bound(x: Array, contract: Contract, axis: int = -1) -> Array:
    """Bound log-softmax; -inf stays -inf.

    x - m is rounded, or the log-sum-exp is where it is taken as m + ln(sum), in the intermediate
    type (PyTorch on CPU keeps it in bfloat16): u_i max(|x - m|, |lse|). The logarithm errs by 2 ulp
    of itself and by the relative error of the sum, which is rounded too (to float16 by PyTorch on
    CPU), u_i; the last difference by u |y|.
    """
    u, y = units(contract), log_softmax(x, axis)
    return rounded(log_softmax_error(x, y, u, axis), y, u)


def log_softmax_error(x: Array, y: Array, u: Units, axis: int) -> Array:
    """Bound log-softmax ``y`` of ``x`` before its last rounding."""
    p, depth = np.exp(y), depth_below_maximum(x, axis)
    with np.errstate(invalid="ignore"):
        lse = np.abs(x - y)
        log_sum = np.abs(y + depth)
    finite = np.isfinite(y)
    lse, log_sum = np.where(finite, lse, 0.0), np.where(finite, log_sum, 0.0)
    in_sum = (
        _common(np.nan_to_num(p), EXPONENT * u.a * depth, axis)
        + u.sum(x.shape[axis])
        + ELEMENTARY * u.a
        + u.i
    )
    last = ELEMENTARY * log_sum + np.where(finite, np.abs(y), 0.0)
    error: Array = in_sum + u.i * np.maximum(depth, lse) + u.a * last
    return error


def _softmax(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, axis = inputs["input"], attributes["axis"]
    # Decision: the text is silent on a row of -inf; by its formula it is 0 / 0, NaN.
    return {"output": (softmax(x, axis), softmax_bound(x, contract, axis))}


def _log_softmax(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, axis = inputs["input"], attributes["axis"]
    bound = log_softmax_bound(x, contract, axis)
    return {"output": (log_softmax(x, axis), bound)}


OPERATORS = {
    "Softmax": Operator(13, ("input",), ("output",), _softmax, attributes={"axis": -1}),
    "LogSoftmax": Operator(13, ("input",), ("output",), _log_softmax, attributes={"axis": -1}),
}
