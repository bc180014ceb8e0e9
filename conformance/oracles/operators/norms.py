"""RMSNorm, as Llama and as Gemma have it, and LayerNorm. D is the size of the normalised axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.errors import SpecError
from conformance.oracles.row import Operator
from conformance.oracles.units import rounded, units
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.oracles.units import Units
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
    """Bound RMSNorm: |y| (D(d) / 2 + 8 u_a + u_o), d the size of the last axis, and the rounding.

    The mean square errs by D(d) and by the division and the sum with epsilon (2 u); the root halves
    that. Root and reciprocal in one err by 2 ulp (4 u), the two products by u each: 7 u, and u for
    the second order. u_o is the cast before the scale, which the standard's text has.
    """
    # Decision: RMSNormalization-23 casts the normalised rows to the type of X and scales them in
    # that type. PyTorch and ONNX Runtime scale first and round once, which is nearer to the
    # formula: both are right.
    u, y = units(contract), rms_norm(x, weight_D, epsilon)
    relative = _root_error(x, epsilon, u) + max(u.i, u.o)
    return rounded(np.abs(y) * relative + max(u.tiny_a, u.tiny_o) * np.abs(weight_D), y, u)


def offset_rms_norm(x: Array, weight_D: Array, epsilon: float) -> Array:
    """Return RMSNorm of the last axis, scaled by 1 + ``weight_D`` as Gemma's is."""
    y: Array = rms_normalize(x, epsilon) * (1 + weight_D)
    return y


def offset_rms_norm_bound(x: Array, weight_D: Array, epsilon: float, contract: Contract) -> Array:
    """Bound Gemma's RMSNorm: as RMSNorm's, without the cast before the scale.

    1 + w errs by u, which is within the intermediate roundings: one of the normalised row, one of
    1 + w, each u_a unless the contract has a narrower intermediate type.
    """
    u, y = units(contract), offset_rms_norm(x, weight_D, epsilon)
    relative = _root_error(x, epsilon, u) + 2 * u.i
    tiny = max(u.tiny_a, precision.smallest_subnormal(contract.intermediate))
    return rounded(np.abs(y) * relative + tiny * np.abs(1 + weight_D), y, u)


def _root_error(x: Array, epsilon: float, u: Units) -> Array:
    """Bound the relative error of a row over its root mean square, times a scale."""
    mean_square = np.mean(x * x, axis=-1, keepdims=True) + epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.where(mean_square > 0, u.tiny_a / mean_square, 0.0)  # squares that underflow
    error: Array = u.sum(x.shape[-1]) / 2 + 8 * u.a + lost
    return error


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """The outputs of LayerNorm over the last axis, or the bounds on them."""

    y: Array
    mean: Array
    inverse: Array
    """One over the standard deviation."""


def layer_norm(x: Array, weight_D: Array, bias_D: Array, epsilon: float) -> LayerNorm:
    """Return LayerNorm of the last axis (arXiv:1607.06450, eq. 4)."""
    mean = np.mean(x, axis=-1, keepdims=True)
    centred = x - mean
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    inverse = 1 / np.sqrt(variance + x.dtype.type(epsilon))
    return LayerNorm(centred * inverse * weight_D + bias_D, mean, inverse)


def layer_norm_bound(
    x: Array, weight_D: Array, bias_D: Array, epsilon: float, contract: Contract
) -> LayerNorm:
    """Bound LayerNorm: s the standard deviation with epsilon in it, n the normalised row.

    The mean errs by m = (D(d) + u) mean|x|. A centred value errs by m and by the rounding of x -
    mean, which may be taken as x / s - mean / s: u (|x| + |mean|). The variance in two passes errs
    by (D(d) + 4 u) var + m**2, in one pass that updates a mean as it goes (Welford) by
    (D(d) + 4 u) sqrt(var mean(x**2)) (Chan, Golub and LeVeque, The American Statistician 37,
    1983); a difference of two means, E x**2 - (E x)**2, by D(d) mean(x**2), and that is not
    allowed. The root halves the error; root, reciprocal and three products err by 7 u. The
    standard's text casts n, and scales it, in the output type: 2 u_o |n w|.
    """
    u, exact = units(contract), layer_norm(x, weight_D, bias_D, epsilon)
    terms, size = u.sum(x.shape[-1]), np.abs(x)
    moved = (terms + u.a) * np.mean(size, axis=-1, keepdims=True)
    variance = np.var(x, axis=-1, keepdims=True)
    square = np.mean(x * x, axis=-1, keepdims=True)
    spread = (terms + 4 * u.a) * (variance + np.sqrt(variance * square)) + moved**2 + u.tiny_a
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = spread / (variance + epsilon) / 2 + 7 * u.a
        centred = moved + u.a * (size + np.abs(exact.mean)) + u.tiny_a
        scaled = (x - exact.mean) * exact.inverse * weight_D
        error = centred * exact.inverse * np.abs(weight_D) + np.abs(scaled) * relative
    error = error + u.a * (np.abs(bias_D) + np.abs(exact.y))
    error = error + 2 * max(u.i, u.o) * np.abs(scaled) + u.tiny_o * (1 + np.abs(weight_D))
    stash = precision.unit_roundoff("float32")
    return LayerNorm(
        rounded(error, exact.y, u),
        moved + stash * np.abs(exact.mean) + u.tiny_a,
        exact.inverse * (relative + stash),
    )


def _rms_normalization(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    _check_stash(attributes)
    x, epsilon = inputs["X"], attributes["epsilon"]
    rows, scale = _rows(x, inputs["scale"], axis=attributes["axis"])
    value = rms_norm(rows, scale, epsilon)
    bound = rms_norm_bound(rows, scale, epsilon, contract)
    return {"Y": (value.reshape(x.shape), bound.reshape(x.shape))}


def _offset_rms_normalization(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    _check_stash(attributes)
    x, epsilon = inputs["X"], attributes["epsilon"]
    rows, scale = _rows(x, inputs["scale"], axis=attributes["axis"])
    value = offset_rms_norm(rows, scale, epsilon)
    bound = offset_rms_norm_bound(rows, scale, epsilon, contract)
    return {"Y": (value.reshape(x.shape), bound.reshape(x.shape))}


def _layer_normalization(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    _check_stash(attributes)
    x, epsilon, axis = inputs["X"], attributes["epsilon"], attributes["axis"]
    rows, scale, bias = _rows(x, inputs["Scale"], inputs.get("B", np.zeros(())), axis=axis)
    value = layer_norm(rows, scale, bias, epsilon)
    bound = layer_norm_bound(rows, scale, bias, epsilon, contract)
    one_each = (*x.shape[: axis % x.ndim], *[1] * (x.ndim - axis % x.ndim))
    return {
        "Y": (value.y.reshape(x.shape), bound.y.reshape(x.shape)),
        "Mean": (value.mean.reshape(one_each), bound.mean.reshape(one_each), _STASH),
        "InvStdDev": (value.inverse.reshape(one_each), bound.inverse.reshape(one_each), _STASH),
    }


def _rows(x: Array, *parameters: Array, axis: int) -> list[Array]:
    """Return x and what is broadcast to it with the axes from ``axis`` on made one."""
    # Decision: scale and bias may be of any shape that broadcasts to X.
    shape = (*x.shape[: axis % x.ndim], -1)
    return [np.broadcast_to(t, x.shape).reshape(shape) for t in (x, *parameters)]


def _check_stash(attributes: Attributes) -> None:
    # Decision: stash_type is the least precision of the first stage; the claimed contract says in
    # which type it is taken.
    if attributes["stash_type"] not in (_FLOAT, _DOUBLE):
        raise SpecError(
            f"stash_type {attributes['stash_type']}; the oracle knows {_FLOAT} (float) and "
            f"{_DOUBLE} (double)"
        )


_FLOAT, _DOUBLE = 1, 11
"""ONNX's numbers of the two types."""
_STASH = "float32"
EPSILON = float(np.float32(1e-5))
"""The standard's default."""
_DEFAULTS = {"axis": -1, "epsilon": EPSILON, "stash_type": _FLOAT}

OPERATORS = {
    "LayerNormalization": Operator(
        17,
        ("X", "Scale"),
        ("Y", "Mean", "InvStdDev"),
        _layer_normalization,
        optional=("B",),
        attributes=_DEFAULTS,
    ),
    # Y = X / sqrt(mean(X**2) + epsilon) * (1 + scale), all in the stash type, then cast to X's.
    "OffsetRMSNormalization": Operator(
        23,
        ("X", "scale"),
        ("Y",),
        _offset_rms_normalization,
        attributes=_DEFAULTS,
        domain=OWN_DOMAIN,
    ),
    "RMSNormalization": Operator(
        23, ("X", "scale"), ("Y",), _rms_normalization, attributes=_DEFAULTS
    ),
}
