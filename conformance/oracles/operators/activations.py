"""Activation functions, and the gated unit that they stand in."""

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


def sigmoid_bound(x: Array, contract: Contract) -> Array:
    """Bound 1 / (1 + exp(-x)): relative where it is computed so, absolute where it is fitted.

    Exponential, sum and quotient err by 6 u, and exp2(x log2 e) by 2 |x| u more. Kernels that take
    the sigmoid itself as an elementary function (a rational fit as in ONNX Runtime's MLAS, or by
    way of tanh) err by 2 ulp of 1, which for negative x is more than the value's own.
    """
    u, y = units(contract), sigmoid(x)
    return rounded(_sigmoid_error(x, y, u), y, u)


def _sigmoid_error(x: Array, y: Array, u: Units) -> Array:
    size = np.where(np.isfinite(x), np.abs(x), 0.0)
    relative = y * (ELEMENTARY + 2 + 2 * size * (1 - y))
    error: Array = u.a * np.maximum(relative, ELEMENTARY)
    return error


def silu_bound(x: Array, contract: Contract, alpha: float = 1.0) -> Array:
    """Bound x sigmoid(alpha x): the sigmoid's bound times x, and two products."""
    u, y = units(contract), silu(x, alpha)
    return rounded(_silu_error(x, y, u, alpha), y, u)


def _silu_error(x: Array, y: Array, u: Units, alpha: float) -> Array:
    size = np.where(np.isfinite(x), np.abs(x), 0.0)
    gate = sigmoid(alpha * x)
    scaling = u.a * np.abs(alpha) * size * (1 - gate)  # alpha x is rounded before the exponential
    error = size * (_sigmoid_error(alpha * x, gate, u) + gate * scaling)
    total: Array = error + (u.a + u.i) * np.where(np.isfinite(y), np.abs(y), 0.0)
    return total


def swiglu_bound(gate: Array, up: Array, contract: Contract) -> Array:
    """Bound silu(gate) up: the bound of silu times up, and one product."""
    u, y = units(contract), swiglu(gate, up)
    inner = _silu_error(gate, silu(gate), u, 1.0)
    return rounded(inner * np.abs(up) + u.a * np.abs(y), y, u)


def _sigmoid(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    return {"Y": (sigmoid(inputs["X"]), sigmoid_bound(inputs["X"], contract))}


def _swish(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, alpha = inputs["X"], attributes["alpha"]
    return {"Y": (silu(x, alpha), silu_bound(x, contract, alpha))}


OPERATORS = {
    "Sigmoid": Operator(13, ("X",), ("Y",), _sigmoid),
    "Swish": Operator(24, ("X",), ("Y",), _swish, attributes={"alpha": 1.0}),
}
