"""Rotary position embedding: frequencies, Llama 3's scaling of them, the rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError
from conformance.oracles.operators.linear import embedding
from conformance.oracles.row import Operator
from conformance.oracles.units import rounded, units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]


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
    kept = llama3_share(frequencies_R, low, high, original_positions)
    y: Array = (1 - kept) * frequencies_R / frequencies_R.dtype.type(factor) + kept * frequencies_R
    return y


def llama3_share(frequencies_R: Array, low: float, high: float, original_positions: int) -> Array:
    """Return how much of each frequency Llama 3.1 keeps, from 0 to 1, shape (R,)."""
    number = frequencies_R.dtype.type
    turns = number(original_positions) * frequencies_R / number(2 * np.pi)
    y: Array = np.clip((turns - number(low)) / number(high - low), number(0), number(1))
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
    y = x_BHTK.copy()
    with np.errstate(invalid="ignore"):  # infinity times 0, and infinity minus infinity, are NaN
        y[..., first] = a * cos - b * sin
        y[..., second] = a * sin + b * cos
    return y


def rotary_bound(
    x_BHTK: Array,
    cos_BTR: Array,
    sin_BTR: Array,
    contract: Contract,
    *,
    interleaved: bool = False,
) -> Array:
    """Bound the rotation a cos - b sin of given cosines and sines.

    Each product is rounded in the intermediate type, the sum in the accumulation type; channels
    that are not rotated are copied.
    """
    u = units(contract)
    y = rotary(x_BHTK, cos_BTR, sin_BTR, interleaved=interleaved)
    cos, sin = ((u.i + u.a) * np.abs(part) for part in (cos_BTR, sin_BTR))
    # Of absolute values one channel of a pair is a sum when turned by +, the other by -.
    sizes = np.maximum(
        rotary(np.abs(x_BHTK), cos, sin, interleaved=interleaved),
        rotary(np.abs(x_BHTK), cos, -sin, interleaved=interleaved),
    )
    bound = rounded(sizes + 2 * u.tiny_a, y, u)
    bound[..., 2 * cos_BTR.shape[-1] :] = 0.0
    return bound


def _rotary_embedding(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, flat = inputs["X"], inputs["X"].ndim == 3
    if flat:
        x = x.reshape(*x.shape[:2], attributes["num_heads"], -1).swapaxes(1, 2)
    cos, sin = inputs["cos_cache"], inputs["sin_cache"]
    if "position_ids" in inputs:
        cos, sin = (embedding(cache, inputs["position_ids"]) for cache in (cos, sin))
    # Decision: 0 stands for the whole head, as in the standard's own algorithm.
    pairs = (attributes["rotary_embedding_dim"] or x.shape[-1]) // 2
    if cos.shape[-1] != pairs:
        raise SpecError(
            f"RotaryEmbedding: cos_cache has {cos.shape[-1]} columns for {pairs} rotated pairs"
        )
    interleaved = bool(attributes["interleaved"])
    value = rotary(x, cos, sin, interleaved=interleaved)
    bound = rotary_bound(x, cos, sin, contract, interleaved=interleaved)
    if flat:
        value, bound = (y.swapaxes(1, 2).reshape(inputs["X"].shape) for y in (value, bound))
    return {"Y": (value, bound)}


OPERATORS = {
    "RotaryEmbedding": Operator(
        23,
        ("X", "cos_cache", "sin_cache"),
        ("Y",),
        _rotary_embedding,
        optional=("position_ids",),
        attributes={"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0},
    ),
}
