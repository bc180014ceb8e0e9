"""RMSNorm. D is the size of the normalised axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError
from conformance.oracles.row import Operator
from conformance.oracles.units import rounded, units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]


def rms_normalize(x: Array, epsilon: float) -> Array:
    """Return x / sqrt(mean(x**2) + epsilon) over the last axis (arXiv:1910.07467, eq. 4)."""
    # The mean divides by D, not D - 1, and epsilon stands inside the root.
    mean_square = np.mean(x * x, axis=-1, keepdims=True)
    y: Array = x / np.sqrt(mean_square + x.dtype.type(epsilon))
    return y


def rms_norm(x: Array, weight_D: Array, epsilon: float) -> Array:
    """Return RMSNorm of the last axis, scaled by ``weight_D``."""
    return rms_normalize(x, epsilon) * weight_D


def rms_norm_bound(x: Array, weight_D: Array, epsilon: float, contract: Contract) -> Array:
    """Bound RMSNorm: |y| (D(d) / 2 + 8 u_a + u_i), d the size of the last axis.

    The mean square errs by D(d) and by the division and the sum with epsilon (2 u); the root halves
    that. Root and reciprocal in one err by 2 ulp (4 u), the two products by u each: 7 u, and u for
    the second order. u_i is the rounding before the scale (Llama's order; Gemma scales first).
    """
    u, y = units(contract), rms_norm(x, weight_D, epsilon)
    mean_square = np.mean(x * x, axis=-1, keepdims=True) + epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.where(mean_square > 0, u.tiny_a / mean_square, 0.0)  # squares that underflow
    relative = u.sum(x.shape[-1]) / 2 + 8 * u.a + u.i + lost
    return rounded(np.abs(y) * relative + u.tiny_a * np.abs(weight_D), y, u)


def _rms_normalization(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    if attributes["stash_type"] != 1:
        raise SpecError(
            f"RMSNormalization: stash_type {attributes['stash_type']}; the oracle knows 1 (float)"
        )
    x, epsilon = inputs["X"], attributes["epsilon"]
    axis = attributes["axis"] % x.ndim
    # Decision: scale may be of any shape that broadcasts to the normalised axes.
    scale = np.broadcast_to(inputs["scale"], x.shape).reshape(*x.shape[:axis], -1)
    rows = x.reshape(*x.shape[:axis], -1)
    value = rms_norm(rows, scale, epsilon)
    bound = rms_norm_bound(rows, scale, epsilon, contract)
    return {"Y": (value.reshape(x.shape), bound.reshape(x.shape))}


EPSILON = float(np.float32(1e-5))
"""The standard's default."""

OPERATORS = {
    "RMSNormalization": Operator(
        23,
        ("X", "scale"),
        ("Y",),
        _rms_normalization,
        attributes={"axis": -1, "epsilon": EPSILON, "stash_type": 1},
    ),
}
