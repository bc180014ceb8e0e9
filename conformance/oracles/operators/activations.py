"""Activation functions, and the gated units that they stand in.

An activation is one function: what happens inside it is computed in the accumulation type, whatever
the type of intermediate results. Those stand between functions: an activation before it gates, a
sigmoid before it is multiplied. Size means |x|, and 0 where x is not finite.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.row import Operator
from conformance.oracles.units import ELEMENTARY, Units, rounded, units
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]

FITTED_TANH = 6.0
"""Relative error of tanh, in unit roundoffs: ONNX Runtime's rational fit errs by 5.5 (measured)."""
FITTED_ERF = 12.0
"""Error of erf, in unit roundoffs of 1, measured: oneDNN's fit, which torch calls, errs by 11 at
large |z|; the fit that compiled torch has, 1 - polynomial * exp(-z^2), errs by 8.4 at z = -0.05."""

_ROOT_HALF = math.sqrt(0.5)
_TANH_SCALE, _TANH_CUBIC = math.sqrt(2 / math.pi), 0.044715
"""Of GELU's tanh form, arXiv:1606.08415, section 2."""


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) without overflow on either side."""
    e = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, x.dtype.type(1), e) / (1 + e)
    return y


def relu(x: Array) -> Array:
    """Return max(x, 0); NaN stays NaN."""
    y: Array = np.maximum(x, x.dtype.type(0))
    return y


def silu(x: Array, alpha: float = 1.0) -> Array:
    """Return x * sigmoid(alpha * x).

    Decision: at -inf it is 0, the limit. By the standard's own function body it is -inf * 0, NaN,
    and that is what PyTorch and ONNX Runtime answer; no requirement asks.
    """
    inner = x.dtype.type(alpha) * x
    return _times_gate(x, sigmoid(inner), np.isneginf(inner))


def gelu(x: Array) -> Array:
    """Return x Phi(x) = x/2 erfc(-x / sqrt(2)) (arXiv:1606.08415), which cancels in no tail.

    Decision: at -inf it is 0, as for ``silu``.
    """
    share = erfc(x * x.dtype.type(-_ROOT_HALF)) / 2
    return _times_gate(x, share, np.isneginf(x))


def erfc(x: Array) -> Array:
    """Return the complementary error function, in the type of ``x``.

    NumPy has none. That of the C library errs by a few ulp of fp64, in the far tail too.
    """
    y: Array = np.vectorize(math.erfc, otypes=[np.float64])(x).astype(x.dtype)
    return y


def gelu_tanh(x: Array) -> Array:
    """Return x/2 (1 + tanh(w)), w = sqrt(2/pi) (x + 0.044715 x^3); as x sigmoid(2 w), the same."""
    return _times_gate(x, sigmoid(2 * _tanh_argument(x)), np.isneginf(x))


def _tanh_argument(x: Array) -> Array:
    scale, cubic = x.dtype.type(_TANH_SCALE), x.dtype.type(_TANH_CUBIC)
    w: Array = scale * (x + cubic * (x * x * x))
    return w


def _times_gate(x: Array, gate: Array, vanished: Array) -> Array:
    """Return x * gate, and 0 where the gate has vanished, -inf * 0 included."""
    with np.errstate(invalid="ignore"):
        y: Array = np.where(vanished, x.dtype.type(0), x * gate)
    return y


def swiglu(
    gate: Array,
    up: Array,
    alpha: float = 1.0,
    limit: float | None = None,
    offset: float = 0.0,
) -> Array:
    """Return silu_alpha(gate) * (up + offset) (arXiv:2002.05202, section 2).

    With a limit the gate is clamped from above and ``up`` on both sides first; gpt-oss has limit 7,
    alpha 1.702, offset 1 (arXiv:2508.10925 and its published code).
    """
    gate, up = _clamped(gate, up, limit)
    y: Array = silu(gate, alpha) * (up + up.dtype.type(offset))
    return y


def _clamped(gate: Array, up: Array, limit: float | None) -> tuple[Array, Array]:
    if limit is None:
        return gate, up
    size = gate.dtype.type(limit)
    return np.minimum(gate, size), np.clip(up, -size, size)


def geglu(gate: Array, up: Array, approximate: str = "none") -> Array:
    """Return gelu(gate) * up (arXiv:2002.05202, section 2), by erf or in the tanh form."""
    y: Array = _GELU[approximate][0](gate) * up
    return y


def sigmoid_bound(x: Array, contract: Contract) -> Array:
    """Bound 1 / (1 + exp(-x)): relative where it is computed so, absolute where it is fitted.

    Exponential, sum and quotient err by 6 u, and exp2(x log2 e) by 2 |x| u more. Kernels that take
    the sigmoid itself as an elementary function (a rational fit as in ONNX Runtime's MLAS, or by
    way of tanh) err by 2 ulp of 1, which for negative x is more than the value's own.
    """
    u, y = units(contract), sigmoid(x)
    return rounded(_sigmoid_error(x, y, u), y, u)


def _sigmoid_error(x: Array, y: Array, u: Units) -> Array:
    relative = y * (ELEMENTARY + 2 + 2 * _size(x) * (1 - y))
    error: Array = u.a * np.maximum(relative, ELEMENTARY)
    return error


def _size(x: Array) -> Array:
    return np.where(np.isfinite(x), np.abs(x), 0.0)


def tanh_bound(x: Array, contract: Contract) -> Array:
    """Bound tanh, relative near 0 too: 6 u, what a rational fit reaches."""
    u, y = units(contract), np.tanh(x)
    return rounded(FITTED_TANH * u.a * np.abs(y), y, u)


def silu_bound(x: Array, contract: Contract, alpha: float = 1.0) -> Array:
    """Bound x sigmoid(alpha x): the sigmoid's bound times x, and two products."""
    u, y = units(contract), silu(x, alpha)
    return rounded(_silu_error(x, y, u, alpha), y, u)


def _silu_error(x: Array, y: Array, u: Units, alpha: float) -> Array:
    """Bound x sigmoid(alpha x): alpha and its product with x may be rounded, and the sigmoid."""
    size, gate = _size(x), sigmoid(alpha * x)
    scaling = 0.0 if alpha == 1 else 2 * u.i * np.abs(alpha)
    error = size * (_sigmoid_error(alpha * x, gate, u) + scaling * gate * (1 - gate) * size)
    total: Array = error + (u.a + u.i) * _size(y)
    return total


def relu_bound(x: Array, contract: Contract) -> Array:
    """Bound max(x, 0), where nothing is rounded: 0, but for a subnormal number that is flushed."""
    y = relu(x)
    flushed: Array = np.where(contract.flush_to_zero & (y < units(contract).tiny_o), y, 0.0)
    return flushed


def gelu_bound(x: Array, contract: Contract) -> Array:
    """Bound x/2 (1 + erf(z)), z = x / sqrt(2): absolute, as the sum cancels in the negative tail.

    |x|/2 times what erf errs by: 12 u itself, near 0 too, where fits cancel, and 2 u |z| erf'(z) by
    the rounding of z. The sum and two products round by 3 u |y|. By erfc the error is smaller.
    """
    u, y = units(contract), gelu(x)
    return rounded(_gelu_error(x, y, u), y, u)


def _gelu_error(x: Array, y: Array, u: Units) -> Array:
    size = _size(x)
    z = size * _ROOT_HALF
    moved = 2 * z * (2 / math.sqrt(math.pi)) * np.exp(-z * z)
    error: Array = size / 2 * u.a * (FITTED_ERF + moved) + 3 * u.a * _size(y)
    return error


def gelu_tanh_bound(x: Array, contract: Contract) -> Array:
    """Bound x/2 (1 + tanh(w)): absolute, as the sum cancels in the negative tail.

    |x|/2 times what tanh errs by: 6 u |tanh w| itself, and 7 u |w| (1 - tanh^2 w) by the rounding
    of w: two constants, four products and a sum whose terms have one sign. Then 3 u |y| as for
    ``gelu_bound``. As x sigmoid(2 w) it errs by less.
    """
    u, y = units(contract), gelu_tanh(x)
    return rounded(_gelu_tanh_error(x, y, u), y, u)


def _gelu_tanh_error(x: Array, y: Array, u: Units) -> Array:
    size = _size(x)
    w = _tanh_argument(size)
    gate = sigmoid(2 * w)
    slope = 4 * gate * sigmoid(-2 * w)
    inner = FITTED_TANH * np.abs(np.tanh(w)) + 7 * np.where(slope > 0, w * slope, 0.0)
    error: Array = size / 2 * u.a * inner + 3 * u.a * _size(y)
    return error


def swiglu_bound(
    gate: Array,
    up: Array,
    contract: Contract,
    alpha: float = 1.0,
    limit: float | None = None,
    offset: float = 0.0,
) -> Array:
    """Bound silu(gate) (up + offset): silu's bound times the other factor, and the product.

    Both factors are intermediate results: u_i |y| for silu, and once more where an offset is added.
    Near zero silu loses the smallest number of that type. Clamping is exact.
    """
    u = units(contract)
    gate, up = _clamped(gate, up, limit)
    factor, activated = up + offset, silu(gate, alpha)
    inner = _silu_error(gate, activated, u, alpha)
    return _gated(inner, activated, factor, u, roundings=1 if offset == 0 else 2)


def geglu_bound(gate: Array, up: Array, contract: Contract, approximate: str = "none") -> Array:
    """Bound gelu(gate) up: gelu's bound times up, its rounding u_i |y|, and the product."""
    u, (function, error) = units(contract), _GELU[approximate]
    activated = function(gate)
    return _gated(error(gate, activated, u), activated, up, u, roundings=1)


def _gated(error: Array, activated: Array, factor: Array, u: Units, roundings: int) -> Array:
    y = activated * factor
    error = (error + u.tiny_i) * np.abs(factor)
    return rounded(error + (u.a + roundings * u.i) * _size(y), y, u)


_GELU = {"none": (gelu, _gelu_error), "tanh": (gelu_tanh, _gelu_tanh_error)}


def _sigmoid(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    return {"Y": (sigmoid(inputs["X"]), sigmoid_bound(inputs["X"], contract))}


def _tanh(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    x = inputs["input"]
    return {"output": (np.tanh(x), tanh_bound(x, contract))}


def _relu(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    return {"Y": (relu(inputs["X"]), relu_bound(inputs["X"], contract))}


def _swish(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, alpha = inputs["X"], attributes["alpha"]
    return {"Y": (silu(x, alpha), silu_bound(x, contract, alpha))}


def _gelu(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, tanh = inputs["X"], attributes["approximate"] in ("tanh", b"tanh")
    if tanh:
        return {"Y": (gelu_tanh(x), gelu_tanh_bound(x, contract))}
    return {"Y": (gelu(x), gelu_bound(x, contract))}


def _swiglu(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    gate, up = inputs["gate"], inputs["up"]
    return {"Y": (swiglu(gate, up, **attributes), swiglu_bound(gate, up, contract, **attributes))}


def _geglu(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    gate, up = inputs["gate"], inputs["up"]
    return {"Y": (geglu(gate, up, **attributes), geglu_bound(gate, up, contract, **attributes))}


_PAIR = ("gate", "up")
_LIMITS = {"alpha": 1.0, "limit": None, "offset": 0.0}

OPERATORS = {
    "Sigmoid": Operator(13, ("X",), ("Y",), _sigmoid),
    "Tanh": Operator(13, ("input",), ("output",), _tanh),
    "Relu": Operator(14, ("X",), ("Y",), _relu),
    "Swish": Operator(24, ("X",), ("Y",), _swish, attributes={"alpha": 1.0}),
    "Gelu": Operator(20, ("X",), ("Y",), _gelu, attributes={"approximate": "none"}),
    "SwiGLU": Operator(1, _PAIR, ("Y",), _swiglu, attributes=_LIMITS, domain=OWN_DOMAIN),
    "GeGLU": Operator(
        1, _PAIR, ("Y",), _geglu, attributes={"approximate": "none"}, domain=OWN_DOMAIN
    ),
}
