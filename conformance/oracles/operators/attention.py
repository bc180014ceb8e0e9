"""Attention: scores, softcap, mask, softmax, the weighted sum of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.operators.softmax import (
    EXPONENT,
    depth_below_maximum,
    softmax,
    weights_error,
)
from conformance.oracles.units import ELEMENTARY, rounded, units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.records import Contract

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention and all that it passes through: values of the operator, or their bounds.

    All but ``output`` (B, H, T, K) are (B, H, T, S).
    """

    scores: Array
    """scale * q k."""
    capped: Array
    """The scores after the softcap."""
    biased: Array
    """The capped scores after the mask."""
    weights: Array
    """The softmax: what each query gives to each key."""
    output: Array


def attention(
    q_BHTK: Array,
    k_BGSK: Array,
    v_BGSK: Array,
    bias: Array | None = None,
    *,
    scale: float | None = None,
    softcap: float = 0.0,
) -> Attention:
    """Return scaled dot-product attention (arXiv:1706.03762, section 3.2.1).

    Args:
        q_BHTK: queries.
        k_BGSK: keys; query head h uses key/value head h // (H / G).
        v_BGSK: values; their head dimension may differ from K.
        bias: what is added to the scores, broadcastable to BHTS: see :func:`mask_bias`.
        scale: factor of the scores, 1 / sqrt(K) by default.
        softcap: cap * tanh(s / cap), before the bias; 0 for none.

    A query whose bias is -inf for every key has the output 0.
    """
    number = q_BHTK.dtype.type
    factor = number(q_BHTK.shape[-1] ** -0.5 if scale is None else scale)
    k_BHSK, v_BHSK = (repeat_heads(x, q_BHTK.shape[1]) for x in (k_BGSK, v_BGSK))
    scores = (q_BHTK @ k_BHSK.swapaxes(-1, -2)) * factor
    capped = number(softcap) * np.tanh(scores / number(softcap)) if softcap else scores
    biased = capped if bias is None else capped + bias
    weights = softmax(biased)
    if bias is not None:  # softmax has 0 / 0 where no key is allowed
        weights = np.where(np.isneginf(bias).all(-1, keepdims=True), number(0), weights)
    return Attention(scores, capped, biased, weights, weights @ v_BHSK)


def repeat_heads(x_BGSK: Array, heads: int) -> Array:
    """Return each of the G heads H / G times in a row: 0 0 1 1, not 0 1 0 1 (arXiv:2305.13245)."""
    return np.repeat(x_BGSK, heads // x_BGSK.shape[1], axis=1)


def causal_mask(queries: int, keys: int, offset: int = 0) -> Array:
    """Return where query i may attend to key j, j <= i + ``offset``, as booleans (T, S)."""
    return np.arange(keys)[None, :] <= np.arange(queries)[:, None] + offset


def mask_bias(allowed: Array, dtype: str, masked: float = -np.inf) -> Array:
    """Return 0 where ``allowed`` and ``masked`` elsewhere, in type ``dtype``."""
    return np.where(allowed, 0.0, masked).astype(dtype)


def attention_bound(
    q_BHTK: Array,
    k_BGSK: Array,
    v_BGSK: Array,
    value: Attention,
    contract: Contract,
    *,
    scale: float,
    softcap: float = 0.0,
) -> Attention:
    """Bound attention and all that it passes through.

    Scores: [D(K) + 2 u_i] scale |q||k| and (2 u_i + 2 u_s) |s|. The standard multiplies q and k by
    sqrt(scale) each: that rounds every product twice, and the score by the error of two roots,
    beside its own two roundings. The softcap has a slope of at most 1 and errs by a quotient, a
    hyperbolic tangent and a product. The output: sum_j dp_j |v_j|, D(S) of sum_j p_j |v_j| for the
    sum, and u_p of it for the rounding of the weights.
    """
    u, heads = units(contract), q_BHTK.shape[1]
    k, v = (np.abs(repeat_heads(x, heads)) for x in (k_BGSK, v_BGSK))
    sizes = (np.abs(q_BHTK) @ k.swapaxes(-1, -2)) * abs(scale)
    terms, keys = q_BHTK.shape[-1], v.shape[-2]
    scores = (u.sum(terms) + 2 * u.i) * sizes + 2 * (u.i + u.s) * np.abs(value.scores)
    scores = scores + terms * u.tiny_a
    capped = scores
    if softcap:
        capped = scores + (ELEMENTARY + 4) * u.s * np.abs(value.capped)
    has_bias = value.biased is not value.capped
    biased = capped + u.s * np.abs(value.biased) if has_bias else capped
    depth = depth_below_maximum(value.biased, -1)
    exponent = np.where(np.isfinite(biased), biased + (u.s + (EXPONENT - 1) * u.a) * depth, 0.0)
    weights = weights_error(value.biased, value.weights, exponent, u, -1)
    weights = np.where(np.isneginf(value.biased), 0.0, weights)
    size = value.weights @ v
    output = weights @ v + (u.sum(keys) + u.p) * size + keys * u.tiny_a
    output = output + u.tiny_p * v.sum(axis=-2, keepdims=True)
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
    return Attention(*result)
