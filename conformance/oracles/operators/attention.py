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
from conformance.oracles.units import ELEMENTARY, Units, rounded, units

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
    sinks_H: Array | None = None,
) -> Attention:
    """Return scaled dot-product attention (arXiv:1706.03762, section 3.2.1).

    Args:
        q_BHTK: queries.
        k_BGSK: keys; query head h uses key/value head h // (H / G).
        v_BGSK: values; their head dimension may differ from K.
        bias: what is added to the scores, broadcastable to BHTS: see :func:`mask_bias`.
        scale: factor of the scores, 1 / sqrt(K) by default.
        softcap: cap * tanh(s / cap), before the bias; 0 for none.
        sinks_H: one more logit of each head, which takes its share of the softmax and has no value.

    A query whose bias is -inf for every key has the output 0.
    """
    number = q_BHTK.dtype.type
    factor = number(q_BHTK.shape[-1] ** -0.5 if scale is None else scale)
    k_BHSK, v_BHSK = (repeat_heads(x, q_BHTK.shape[1]) for x in (k_BGSK, v_BGSK))
    with np.errstate(invalid="ignore"):  # infinity under a mask, where the policy lets it pass
        scores = (q_BHTK @ k_BHSK.swapaxes(-1, -2)) * factor
        capped = number(softcap) * np.tanh(scores / number(softcap)) if softcap else scores
        biased = capped if bias is None else capped + bias
        weights = softmax(with_sinks(biased, sinks_H))[..., : biased.shape[-1]]
        if bias is not None:  # softmax has 0 / 0 where no key is allowed
            weights = np.where(np.isneginf(bias).all(-1, keepdims=True), number(0), weights)
        return Attention(scores, capped, biased, weights, weights @ v_BHSK)


def with_sinks(scores_BHTS: Array, sinks_H: Array | None) -> Array:
    """Return the scores with each head's sink behind them, (B, H, T, S + 1)."""
    if sinks_H is None:
        return scores_BHTS
    sinks_BHT1 = np.broadcast_to(sinks_H[:, None, None], (*scores_BHTS.shape[:-1], 1))
    return np.concatenate([scores_BHTS, sinks_BHT1], axis=-1)


def repeat_heads(x_BGSK: Array, heads: int) -> Array:
    """Return each of the G heads H / G times in a row: 0 0 1 1, not 0 1 0 1 (arXiv:2305.13245)."""
    return np.repeat(x_BGSK, heads // x_BGSK.shape[1], axis=1)


def causal_mask(queries: int, keys: int, offset: int = 0) -> Array:
    """Return where query i may attend to key j, j <= i + ``offset``, as booleans (T, S)."""
    return np.arange(keys)[None, :] <= np.arange(queries)[:, None] + offset


def mask_bias(allowed: Array, dtype: str, masked: float = -np.inf) -> Array:
    """Return 0 where ``allowed`` and ``masked`` elsewhere, in type ``dtype``."""
    return np.where(allowed, 0.0, masked).astype(dtype)


def attention_bound(  # noqa: PLR0913  # the arguments of the operator, its result, a contract
    q_BHTK: Array,
    k_BGSK: Array,
    v_BGSK: Array,
    value: Attention,
    contract: Contract,
    *,
    scale: float,
    softcap: float = 0.0,
    sinks_H: Array | None = None,
    bias_error: float | Array = 0.0,
) -> Attention:
    """Bound attention and all that it passes through.

    Scores: [D(K) + 2 u_i] scale |q||k| and (2 u_i + 2 u_s) |s|. The standard multiplies q and k by
    sqrt(scale) each: that rounds every product twice, and the score by the error of two roots,
    beside its own two roundings. Weights and output: see :func:`_output_error`.

    Args:
        q_BHTK: queries, as are keys and values what :func:`attention` was given.
        k_BGSK: keys.
        v_BGSK: values.
        value: what it returned.
        contract: the precision.
        scale: factor of the scores.
        softcap: the cap, 0 for none.
        sinks_H: the sinks.
        bias_error: error of the bias where it is computed and not given, broadcastable to BHTS.
    """
    u, heads = units(contract), q_BHTK.shape[1]
    k, v = (np.abs(repeat_heads(x, heads)) for x in (k_BGSK, v_BGSK))
    terms = q_BHTK.shape[-1]
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = (np.abs(q_BHTK) @ k.swapaxes(-1, -2)) * abs(scale)
        scores = (u.sum(terms) + 2 * u.i) * sizes + 2 * (u.i + u.s) * np.abs(value.scores)
        scores = scores + terms * u.tiny_a
        capped = _capped_error(scores, value, softcap, u)
        has_bias = value.biased is not value.capped
        biased = capped + u.s * np.abs(value.biased) + bias_error if has_bias else capped
        logits, exponent = _exponents(value, biased, sinks_H, u)
        weights = _weights_error(value, logits, exponent, u)
        output = _output_error(value, logits, exponent, v, u)
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


def _capped_error(scores: Array, value: Attention, softcap: float, u: Units) -> Array:
    """Bound the capped scores: the scores' error times the slope, and the cap's own roundings.

    cap * tanh(s / cap) has the slope 1 - tanh(s / cap)**2, largest where |s| is smallest. Its own
    errors are a quotient, a hyperbolic tangent of 2 ulp and a product; that of the quotient, x u,
    comes to x u (1 - tanh(x)**2) <= u |tanh(x)|.
    """
    if not softcap:
        return scores
    nearest = np.maximum(np.abs(value.scores) - scores, 0.0)
    slope = 1 - np.tanh(nearest / softcap) ** 2
    error: Array = scores * slope + (ELEMENTARY + 4) * u.s * np.abs(value.capped)
    return error


def _exponents(
    value: Attention, biased: Array, sinks_H: Array | None, u: Units
) -> tuple[Array, Array]:
    """Return what goes into the softmax, a sink included, and how far each exponent errs.

    A biased score errs by ``biased``, a sink not at all. The difference to the maximum is rounded
    as a score is, and times log2(e) once more.
    """
    logits = with_sinks(value.biased, sinks_H)
    exponent = (u.s + (EXPONENT - 1) * u.a) * depth_below_maximum(logits, -1)
    exponent[..., : biased.shape[-1]] += biased
    return logits, np.where(np.isfinite(exponent), exponent, 0.0)


def _weights_error(value: Attention, logits: Array, exponent: Array, u: Units) -> Array:
    """Bound the weights: those of a softmax whose exponents err by ``exponent``."""
    shown = value.biased.shape[-1]
    p = value.weights if logits.shape[-1] == shown else softmax(logits)
    weights = weights_error(logits, p, exponent, u, -1)
    error: Array = np.where(np.isneginf(logits), 0.0, weights)[..., :shown]
    return error


def _output_error(
    value: Attention, logits: Array, exponent: Array, v_BHSK: Array, u: Units
) -> Array:
    """Bound the weighted sum of values, whose sizes are ``v_BHSK``.

    With exponents that err by e_j in the numerator and e_j' in the denominator, y' = sum_j p_j
    exp(e_j) v_j / Z, Z = sum_j p_j exp(e_j'), so

        y' - y = [sum_j p_j (exp(e_j) - 1) v_j - y (Z - 1)] / Z.

    |Z - 1| <= sum_j p_j expm1(d_j) and Z >= exp(-sum_j p_j d_j) where |e_j| <= d_j, so that this
    holds however large they are. An exponential of 2 ulp adds 4 u to expm1(d_j); the denominator's
    sum and the quotient add D(S) + u to |y|; the sum over values D(S), and the rounding of the
    weights u_p, of sum_j p_j |v_j|. S counts the keys that a query sees: what weighs 0 is added
    without an error. An exponential may vanish below the smallest normal number.
    """
    shown = value.biased.shape[-1]
    seen = ~np.isneginf(logits)
    p = value.weights if logits.shape[-1] == shown else softmax(logits)
    moved = np.where(seen, p * (np.expm1(exponent) + ELEMENTARY * u.a), 0.0)
    sums = np.array([u.sum(keys) for keys in range(logits.shape[-1] + 1)])
    keys_BHT1 = seen.sum(axis=-1, keepdims=True)
    shared = moved.sum(axis=-1, keepdims=True) + sums[keys_BHT1] + u.a
    inflation = np.exp(np.sum(np.where(seen, p * exponent, 0.0), axis=-1, keepdims=True))
    error = inflation * (moved[..., :shown] @ v_BHSK + np.abs(value.output) * shared)
    error = error + (sums[keys_BHT1] + u.p) * (value.weights @ v_BHSK)
    smallest = (u.tiny_p + u.least) * (seen[..., :shown].astype(float) @ v_BHSK)
    total: Array = error + smallest + keys_BHT1 * u.tiny_a
    return total
