"""Error bounds of softmax and of what is made of it: log-softmax, attention, cross-entropy.

The error of a softmax comes from the error d_j of each exponent: the logarithm of a weight moves
by at most |d_j| + ln(sum_k p_k exp|d_k|). That holds to every order, so the bounds stay honest
where scores are large and first-order formulas are not. |d_j| holds 3 u (max - s_j): the
difference is rounded, and kernels that use powers of two multiply it by a rounded log2(e). See
``bounds`` for letters and conventions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles import operators
from conformance.oracles.bounds import ELEMENTARY, Units, rounded, units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.records import Contract

    Array = NDArray[Any]

_EXPONENT = 3.0
"""Error of an exponent, in unit roundoffs of its distance to the maximum."""


def softmax(x: Array, contract: Contract, axis: int = -1) -> Array:
    """Bound softmax: p_j [d_j + sum_k p_k d_k + D(n) + 9 u] with d_j = 3 u (m - s_j); -inf gives 0.

    9 u are two exponentials of 2 ulp, that of the weight and those of the sum, and the quotient.
    """
    u, p = units(contract), operators.softmax(x, axis)
    error = rounded(_weights(x, p, _EXPONENT * u.a * _depth(x, axis), u, axis), p, u)
    return np.where(np.isneginf(x), 0.0, error)


def _depth(x: Array, axis: int) -> Array:
    """Return max - x, and 0 where that is not finite."""
    with np.errstate(invalid="ignore"):
        depth = np.max(x, axis=axis, keepdims=True) - x
    return np.where(np.isfinite(depth), depth, 0.0)


def _weights(x: Array, p: Array, exponent: Array, u: Units, axis: int) -> Array:
    """Bound weights ``p`` of which each exponent errs by ``exponent``, without their rounding."""
    relative = _common(p, exponent, axis) + exponent
    relative = relative + u.sum(x.shape[axis]) + (2 * ELEMENTARY + 1) * u.a
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.nan_to_num(p * np.expm1(relative), nan=0.0)
    # Whatever the error of the exponents, a weight lies between 0 and 1. Many an exponential knows
    # no subnormal results (ONNX Runtime's MLAS), flushed or not.
    bound: Array = np.minimum(error, 1.0) + u.least
    return bound


def _common(p: Array, exponent: Array, axis: int) -> Array:
    """Return ln(sum p exp(error)): what the errors of all exponents do to the sum."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        inflated = np.nan_to_num(p * np.expm1(exponent), nan=0.0)
        total: Array = np.log1p(np.sum(inflated, axis=axis, keepdims=True))
    return total


def log_softmax(x: Array, contract: Contract, axis: int = -1) -> Array:
    """Bound log-softmax; -inf stays -inf.

    x - m is rounded, or the log-sum-exp is where it is taken as m + ln(sum), in the intermediate
    type (PyTorch on CPU keeps it in bfloat16): u_i max(|x - m|, |lse|). The logarithm errs by 2 ulp
    of itself and by the relative error of the sum, the last difference by u |y|.
    """
    u, y = units(contract), operators.log_softmax(x, axis)
    return rounded(_log_softmax(x, y, u, axis), y, u)


def _log_softmax(x: Array, y: Array, u: Units, axis: int) -> Array:
    p, depth = np.exp(y), _depth(x, axis)
    with np.errstate(invalid="ignore"):
        lse = np.abs(x - y)
        log_sum = np.abs(y + depth)
    finite = np.isfinite(y)
    lse, log_sum = np.where(finite, lse, 0.0), np.where(finite, log_sum, 0.0)
    in_sum = (
        _common(np.nan_to_num(p), _EXPONENT * u.a * depth, axis)
        + u.sum(x.shape[axis])
        + ELEMENTARY * u.a
    )
    last = ELEMENTARY * log_sum + np.where(finite, np.abs(y), 0.0)
    error: Array = in_sum + u.i * np.maximum(depth, lse) + u.a * last
    return error


def cross_entropy(
    scores_NC: Array,
    labels_N: Array,
    weights_C: Array | None,
    contract: Contract,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Bound the loss: the label's log-softmax bound times its weight, summed, and the sum's own.

    The denominator is exact: a count of rows, or D(N) when it is a sum of weights.
    """
    u = units(contract)
    counted, weight_N = operators.cross_entropy_weights(
        scores_NC, labels_N, weights_C, ignore_index
    )
    label = np.where(counted, labels_N, 0)[:, None]
    y = operators.log_softmax(scores_NC)
    each = _log_softmax(scores_NC, y, u, -1)
    picked, error_N = (np.take_along_axis(of, label, axis=1)[:, 0] for of in (y, each))
    loss_N = np.where(counted, np.abs(picked), 0.0) * weight_N
    error_N = np.where(counted, error_N, 0.0) * weight_N + u.a * loss_N
    value = operators.cross_entropy(
        scores_NC, labels_N, weights_C, ignore_index=ignore_index, reduction=reduction
    )
    if reduction == "none":
        return np.where(counted, rounded(error_N, value, u), 0.0)
    rows = len(labels_N)
    total = error_N.sum() + u.sum(rows) * loss_N.sum()
    if reduction == "mean":
        weighting = 0.0 if weights_C is None else u.sum(rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = total / weight_N.sum() + (weighting + u.a) * np.abs(value)
    return rounded(np.asarray(total), value, u)


def attention(
    q_BHTK: Array,
    k_BGSK: Array,
    v_BGSK: Array,
    value: operators.Attention,
    contract: Contract,
    *,
    scale: float,
    softcap: float = 0.0,
) -> operators.Attention:
    """Bound attention and all that it passes through.

    Scores: [D(K) + 2 u_i] scale |q||k| and 4 u_i |s|. The standard multiplies q and k by
    sqrt(scale) each: that rounds every product twice, and the score by the error of two roots,
    beside its own two roundings. The softcap has a slope of at most 1 and errs by a quotient, a
    hyperbolic tangent and a product. The output: sum_j dp_j |v_j|, D(S) of sum_j p_j |v_j| for the
    sum, and u_i of it for the rounding of the weights.
    """
    u, heads = units(contract), q_BHTK.shape[1]
    k, v = (np.abs(operators.repeat_heads(x, heads)) for x in (k_BGSK, v_BGSK))
    sizes = (np.abs(q_BHTK) @ k.swapaxes(-1, -2)) * abs(scale)
    terms, keys = q_BHTK.shape[-1], v.shape[-2]
    scores = (u.sum(terms) + 2 * u.i) * sizes + 4 * u.i * np.abs(value.scores)
    scores = scores + terms * u.tiny_a
    capped = scores
    if softcap:
        capped = scores + (ELEMENTARY + 4) * u.i * np.abs(value.capped)
    has_bias = value.biased is not value.capped
    biased = capped + u.i * np.abs(value.biased) if has_bias else capped
    exponent = np.where(
        np.isfinite(biased), biased + (u.i + (_EXPONENT - 1) * u.a) * _depth(value.biased, -1), 0.0
    )
    weights = _weights(value.biased, value.weights, exponent, u, -1)
    weights = np.where(np.isneginf(value.biased), 0.0, weights)
    size = value.weights @ v
    output = weights @ v + (u.sum(keys) + u.i) * size + keys * u.tiny_a
    pairs = (
        (scores, value.scores),
        (capped, value.capped),
        (biased, value.biased),
        (weights, value.weights),
        (output, value.output),
    )
    result = [rounded(error, y, u) for error, y in pairs]
    # A masked key weighs exactly 0, and a query without any key has exactly 0 as its output.
    masked = np.isneginf(value.biased)
    result[3] = np.where(masked, 0.0, result[3])
    result[4] = np.where(masked.all(-1, keepdims=True), 0.0, result[4])
    return operators.Attention(*result)
