"""The operators of a decoder in plain NumPy, each in the arithmetic of its input type.

In float64 they are the truth that candidates are judged by; in float32 they are one honest
implementation. Nothing here knows an error bound, a precision contract or a model.

Shape letters: B batch, T tokens, S keys, D model, H heads, G key/value heads, K head dim,
R rotated pairs, V vocabulary, I and O inputs and outputs of a linear map, N rows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def embedding(weight_VD: Array, ids: Array) -> Array:
    """Return the rows of ``weight_VD`` that ``ids`` name, as shape ``ids.shape + (D,)``.

    Raises:
        IndexError: an id is negative or not below V; NumPy alone would wrap negative ones.
    """
    if ids.size and not 0 <= ids.min() <= ids.max() < len(weight_VD):
        raise IndexError(
            f"token ids lie in {ids.min()}..{ids.max()}; the vocabulary allows "
            f"0..{len(weight_VD) - 1}"
        )
    rows: Array = weight_VD[ids]
    return rows


def linear(x: Array, weight_OI: Array, bias_O: Array | None = None) -> Array:
    """Return ``x @ weight_OI.T + bias_O``, shape (..., O)."""
    y: Array = x @ weight_OI.T
    return y if bias_O is None else y + bias_O


def rms_normalize(x: Array, epsilon: float) -> Array:
    """Return x / sqrt(mean(x**2) + epsilon) over the last axis (arXiv:1910.07467, eq. 4)."""
    # The mean divides by D, not D - 1, and epsilon stands inside the root.
    mean_square = np.mean(x * x, axis=-1, keepdims=True)
    y: Array = x / np.sqrt(mean_square + x.dtype.type(epsilon))
    return y


def rms_norm(x: Array, weight_D: Array, epsilon: float) -> Array:
    """Return RMSNorm of the last axis, scaled by ``weight_D``."""
    return rms_normalize(x, epsilon) * weight_D


def frequencies(theta: float, dim: int, dtype: str = "float64", form: str = "power") -> Array:
    """Return the rotation per position of each pair, theta**(-2 i / dim), shape (dim / 2,).

    Args:
        theta: the base.
        dim: the rotated part of the head dimension; even.
        dtype: the type of the arithmetic.
        form: ``power`` for 1 / theta**e or ``exponential`` for exp(-e ln theta): equal in exact
            arithmetic, rounded differently.

    Source:
        RoFormer (arXiv:2104.09864), section 3.2.2.
    """
    exponents = np.arange(0, dim, 2).astype(dtype) / np.dtype(dtype).type(dim)
    base = exponents.dtype.type(theta)
    y: Array = np.exp(-exponents * np.log(base)) if form == "exponential" else 1 / base**exponents
    return y


def llama3_frequencies(
    frequencies_R: Array, factor: float, low: float, high: float, original_positions: int
) -> Array:
    """Return frequencies scaled as Llama 3.1 does, shape (R,).

    Pairs that turn more than ``high`` times within ``original_positions`` keep their frequency,
    those that turn less than ``low`` times are slowed by ``factor``, and between them the two are
    mixed linearly in the number of turns.

    Source:
        Meta, llama-models, ``apply_scaling`` of Llama 3.1.
    """
    number = frequencies_R.dtype.type
    turns = number(original_positions) * frequencies_R / number(2 * np.pi)
    kept = np.clip((turns - number(low)) / number(high - low), number(0), number(1))
    y: Array = (1 - kept) * frequencies_R / number(factor) + kept * frequencies_R
    return y


def rotary(x_BHTK: Array, cos_BTR: Array, sin_BTR: Array, *, interleaved: bool = False) -> Array:
    """Rotate the first 2 R channels of every head; the rest passes unchanged.

    Pairs are (i, i + R), or (2 i, 2 i + 1) when ``interleaved``; the angle is +position * f.
    """
    pairs = cos_BTR.shape[-1]
    cos, sin = cos_BTR[:, None], sin_BTR[:, None]
    if interleaved:
        first, second = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
    else:
        first, second = slice(0, pairs), slice(pairs, 2 * pairs)
    a, b = x_BHTK[..., first], x_BHTK[..., second]
    y = x_BHTK.copy()
    y[..., first] = a * cos - b * sin
    y[..., second] = a * sin + b * cos
    return y


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


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) without overflow on either side."""
    e = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, x.dtype.type(1), e) / (1 + e)
    return y


def silu(x: Array, alpha: float = 1.0) -> Array:
    """Return x * sigmoid(alpha * x); -inf gives 0, not NaN."""
    inner = x.dtype.type(alpha) * x
    with np.errstate(invalid="ignore"):  # -inf * 0
        y: Array = np.where(np.isneginf(inner), x.dtype.type(0), x * sigmoid(inner))
    return y


def swiglu(gate: Array, up: Array) -> Array:
    """Return silu(gate) * up (arXiv:2002.05202, section 2)."""
    return silu(gate) * up


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


def cross_entropy(
    scores_NC: Array,
    labels_N: Array,
    weights_C: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -weight[label] * log_softmax(scores)[label], (N,) or reduced to a scalar.

    Rows labelled ``ignore_index`` lose 0 and do not count. ``mean`` divides by the exact number
    of rows that count, or by the sum of their weights; where none counts it is 0 / 0, NaN.
    """
    counted, weight_N = cross_entropy_weights(scores_NC, labels_N, weights_C, ignore_index)
    label = np.where(counted, labels_N, 0)[:, None]
    picked = np.take_along_axis(log_softmax(scores_NC), label, axis=1)[:, 0]
    loss_N: Array = np.where(counted, -picked, 0) * weight_N
    if reduction == "none":
        return loss_N
    total: Array = np.sum(loss_N)
    with np.errstate(invalid="ignore"):
        return total if reduction == "sum" else np.divide(total, np.sum(weight_N))


def cross_entropy_weights(
    scores_NC: Array, labels_N: Array, weights_C: Array | None, ignore_index: int | None
) -> tuple[Array, Array]:
    """Return which rows count, and each row's weight (0 for those that do not), both (N,)."""
    counted = np.full(labels_N.shape, fill_value=True)
    if ignore_index is not None:
        counted = labels_N != ignore_index
    if weights_C is None:
        return counted, counted.astype(scores_NC.dtype)
    return counted, np.where(counted, weights_C[np.where(counted, labels_N, 0)], 0)
