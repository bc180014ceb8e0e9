"""How far honest rounding can carry each operator: componentwise bounds on the error against fp64.

Each bound is a function of the fp64 inputs and of a precision contract. It holds for every order
of summation, with and without fused multiply-add, and for softmax in one pass or two; a fault
leaves it. Elementary functions (exp, log, tanh, square root and its reciprocal) are allowed an
error of 2 ulp. Nothing here looks at a candidate.

One limit: from some hundred terms on, D(K) trusts that rounding errors are independent. They are
not in one running sum of equal numbers, which stays inside to K = 4096 and is 3 bounds off at
14336; kernels that add in lanes or blocks are never near. Judge long sums on mixed signs.

Derivations follow Higham, Accuracy and Stability of Numerical Algorithms (2002), chapters 2 and 3,
to first order, softmax to every order. Letters: u unit roundoff (of accumulation a, intermediate
i, output o), D(K) relative error of a sum of K products (``precision.accumulation``), y the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance import precision
from conformance.oracles import operators

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
    o: float
    phase: float
    tf32: float
    tiny_a: float
    """What a result near zero may lose: the smallest subnormal, the smallest normal if flushed."""
    tiny_o: float
    least: float
    """The smallest normal number of the accumulation type: exponentials below it may become 0."""

    def sum(self, terms: int) -> float:
        """Return D(terms) in the accumulation type."""
        return precision.accumulation(terms, self.a)


def units(contract: Contract) -> Units:
    """Return the unit roundoffs of a contract."""
    # A directed or stochastic rounding errs by a whole spacing, one to nearest by half of it.
    directed = 1 if contract.rounding == "nearest-even" else 2
    a, i, o, phase = (
        directed * precision.unit_roundoff(name)
        for name in (contract.accumulation, contract.intermediate, contract.output, contract.phase)
    )
    tf32 = directed * 2.0**-11 if contract.tf32 else 0.0
    near_zero = _smallest_normal if contract.flush_to_zero else precision.smallest_subnormal
    tiny_a, tiny_o = near_zero(contract.accumulation), near_zero(contract.output)
    least = _smallest_normal(contract.accumulation)
    return Units(a, max(a, i), o, phase, tf32, tiny_a, tiny_o, least)


def _smallest_normal(name: str) -> float:
    return float(ml_dtypes.finfo(precision.dtype(name)).smallest_normal)


def rounded(error: Array, value: Array, u: Units) -> Array:
    """Add the rounding of a result to the output type; infinite and NaN results are exact."""
    with np.errstate(invalid="ignore"):
        total = error + u.o * np.abs(value) + u.tiny_o
    bound: Array = np.where(np.isfinite(value), np.nan_to_num(total, nan=np.inf), 0.0)
    return bound


def embedding(value: Array) -> Array:
    """Return 0: a lookup copies."""
    return np.zeros(value.shape)


def product(a: Array, b: Array, contract: Contract) -> Array:
    """Bound elementwise a * b: one rounding in the accumulation type, one to the output."""
    u, y = units(contract), a * b
    return rounded(u.a * np.abs(y) + u.tiny_a, y, u)


def matmul(a: Array, b: Array, contract: Contract) -> Array:
    """Bound a @ b: D(K) sum |a||b|, any order of summation (Higham, section 3.1).

    TF32 rounds both factors to 11 bits: 2 u per product, and lambda times its root mean square
    where that is smaller (rounding errors of one sum are independent).
    """
    u = units(contract)
    return rounded(_matmul(a, b, u), a @ b, u)


def _matmul(a: Array, b: Array, u: Units) -> Array:
    sizes = np.abs(a) @ np.abs(b)
    error: Array = u.sum(a.shape[-1]) * sizes + a.shape[-1] * u.tiny_a
    if u.tf32:
        spread = np.sqrt((a * a) @ (b * b))
        error = error + 2 * u.tf32 * np.minimum(sizes, _lambda() * spread)
    return error


def _lambda() -> float:
    """Return the factor of the probabilistic bound, as ``precision.accumulation`` uses it."""
    terms, unit = 1 << 20, 2.0**-53
    return float(precision.accumulation(terms, unit) / (unit * terms**0.5))


def linear(x: Array, weight_OI: Array, bias_O: Array | None, contract: Contract) -> Array:
    """Bound x @ W.T + b: the product's error, and one rounding of the sum with the bias."""
    u, y = units(contract), operators.linear(x, weight_OI, bias_O)
    error = _matmul(x, weight_OI.T, u)
    if bias_O is not None:  # the bias may be added first or last
        error = error + u.a * (np.abs(bias_O) + np.abs(y))
    return rounded(error, y, u)


def rms_norm(x: Array, weight_D: Array, epsilon: float, contract: Contract) -> Array:
    """Bound RMSNorm: |y| (D(d) / 2 + 8 u_a + u_i), d the size of the last axis.

    The mean square errs by D(d) and by the division and the sum with epsilon (2 u); the root halves
    that. Root and reciprocal in one err by 2 ulp (4 u), the two products by u each: 7 u, and u for
    the second order. u_i is the rounding before the scale (Llama's order; Gemma scales first).
    """
    u, y = units(contract), operators.rms_norm(x, weight_D, epsilon)
    mean_square = np.mean(x * x, axis=-1, keepdims=True) + epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.where(mean_square > 0, u.tiny_a / mean_square, 0.0)  # squares that underflow
    relative = u.sum(x.shape[-1]) / 2 + 8 * u.a + u.i + lost
    return rounded(np.abs(y) * relative + u.tiny_a * np.abs(weight_D), y, u)


def rotary(
    x_BHTK: Array,
    cos_BTR: Array,
    sin_BTR: Array,
    contract: Contract,
    *,
    interleaved: bool = False,
    angle_error: Array | float = 0.0,
) -> Array:
    """Bound the rotation a cos - b sin, given cosines that may err by ``angle_error`` (BTR).

    Each product is rounded in the intermediate type, the sum in the accumulation type; channels
    that are not rotated are copied.
    """
    u = units(contract)
    y = operators.rotary(x_BHTK, cos_BTR, sin_BTR, interleaved=interleaved)
    cos, sin = ((u.i + u.a) * np.abs(part) + angle_error for part in (cos_BTR, sin_BTR))
    # Of absolute values one channel of a pair is a sum when turned by +, the other by -.
    sizes = np.maximum(
        operators.rotary(np.abs(x_BHTK), cos, sin, interleaved=interleaved),
        operators.rotary(np.abs(x_BHTK), cos, -sin, interleaved=interleaved),
    )
    bound = rounded(sizes, y, u)
    bound[..., 2 * cos_BTR.shape[-1] :] = 0.0
    return bound


def angle(position_ids_BT: Array, frequencies_R: Array, contract: Contract) -> Array:
    """Bound the error of cos and sin of position * frequency in the phase type, shape (B, T, R).

    theta**(-e) errs by a power or an exponential (4 u) and by a reciprocal, the product by u. An
    exponential of e ln theta has an argument that errs by 6 u of itself: e, the logarithm and their
    product. Cosine and sine err by 2 ulp of a number up to 1. The argument's error is absolute:
    position * frequency times the relative error.
    """
    u = units(contract).phase
    relative = (ELEMENTARY + 2 + (ELEMENTARY + 2) * np.abs(np.log(frequencies_R))) * u
    turns = np.abs(position_ids_BT)[..., None] * frequencies_R
    error: Array = turns * relative + ELEMENTARY * u
    return error


def sigmoid(x: Array, contract: Contract) -> Array:
    """Bound 1 / (1 + exp(-x)): relative where it is computed so, absolute where it is fitted.

    Exponential, sum and quotient err by 6 u, and exp2(x log2 e) by 2 |x| u more. Kernels that take
    the sigmoid itself as an elementary function (a rational fit as in ONNX Runtime's MLAS, or by
    way of tanh) err by 2 ulp of 1, which for negative x is more than the value's own.
    """
    u, y = units(contract), operators.sigmoid(x)
    return rounded(_sigmoid(x, y, u), y, u)


def _sigmoid(x: Array, y: Array, u: Units) -> Array:
    size = np.where(np.isfinite(x), np.abs(x), 0.0)
    relative = y * (ELEMENTARY + 2 + 2 * size * (1 - y))
    error: Array = u.a * np.maximum(relative, ELEMENTARY)
    return error


def silu(x: Array, contract: Contract, alpha: float = 1.0) -> Array:
    """Bound x sigmoid(alpha x): the sigmoid's bound times x, and two products."""
    u, y = units(contract), operators.silu(x, alpha)
    return rounded(_silu(x, y, u, alpha), y, u)


def _silu(x: Array, y: Array, u: Units, alpha: float) -> Array:
    size = np.where(np.isfinite(x), np.abs(x), 0.0)
    gate = operators.sigmoid(alpha * x)
    scaling = u.a * np.abs(alpha) * size * (1 - gate)  # alpha x is rounded before the exponential
    error = size * (_sigmoid(alpha * x, gate, u) + gate * scaling)
    total: Array = error + (u.a + u.i) * np.where(np.isfinite(y), np.abs(y), 0.0)
    return total


def swiglu(gate: Array, up: Array, contract: Contract) -> Array:
    """Bound silu(gate) up: the bound of silu times up, and one product."""
    u, y = units(contract), operators.swiglu(gate, up)
    inner = _silu(gate, operators.silu(gate), u, 1.0)
    return rounded(inner * np.abs(up) + u.a * np.abs(y), y, u)
