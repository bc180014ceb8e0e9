"""The arithmetic of a graph's nodes for which the oracle has no row: value in fp64, and bound.

Bounds are made as those of the oracle (``conformance.oracles.units``): letters, conventions and
what elementary functions are allowed stand there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.standard import Expected
from conformance.oracles.units import ELEMENTARY, exact, rounded, units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.oracles.units import Units
    from conformance.records import Contract

    Array = NDArray[Any]
    Function = Callable[..., Array]


def _once(u: Units, y: Array, *_: Array) -> Array:
    return u.a * np.abs(y)


def _elementary(u: Units, y: Array, *_: Array) -> Array:
    return ELEMENTARY * u.a * np.abs(y)


def _turned(u: Units, y: Array, angle: Array) -> Array:
    """2 ulp of a number below 1; reducing the argument rounds it once."""
    return u.a * (ELEMENTARY / 2 + np.abs(angle)) * np.ones_like(y)


def _power(u: Units, y: Array, base: Array, exponent: Array) -> Array:
    """As exp(e log b): rounding the product is a relative error of |e log b| roundings."""
    size = np.abs(exponent * np.log(np.abs(base)))
    return u.a * np.abs(y) * (ELEMENTARY + np.where(np.isfinite(size), size, 0.0))


_ROUNDED: Mapping[str, tuple[Function, Function]] = {
    "Add": (np.add, _once),
    "Cos": (np.cos, _turned),
    "Div": (np.divide, _elementary),
    "Exp": (np.exp, _elementary),
    "Pow": (np.power, _power),
    "Reciprocal": (np.reciprocal, _elementary),
    "Sin": (np.sin, _turned),
    "Sqrt": (np.sqrt, _elementary),
    "Sub": (np.subtract, _once),
}
"""The value, and how far it errs before its last rounding."""
_EXACT: Mapping[str, Function] = {
    "Abs": np.abs,
    "Max": lambda *xs: np.asarray(np.maximum.reduce(np.broadcast_arrays(*xs))),
    "Min": lambda *xs: np.asarray(np.minimum.reduce(np.broadcast_arrays(*xs))),
    "Neg": np.negative,
}
_REDUCED: Mapping[str, Function] = {"ReduceMean": np.mean, "ReduceSum": np.sum}


def expected(
    operator: str, operands: Sequence[Array], attributes: Mapping[str, Any], contract: Contract
) -> Expected | None:
    """Return what an operator's one output has to be; None where nothing is known of it.

    Args:
        operator: its name in the ONNX standard.
        operands: its inputs in order, floats in fp64.
        attributes: those that are given.
        contract: the precision of its numbers.
    """
    with np.errstate(all="ignore"):
        if operator in _ROUNDED:
            value, error = _ROUNDED[operator]
            y, u = np.asarray(value(*operands)), units(contract)
            return Expected(y, rounded(np.asarray(error(u, y, *operands)), y, u), contract.output)
        if operator in _EXACT:
            y = np.asarray(_EXACT[operator](*operands))
            return Expected(y, exact(y), contract.output)
        if operator in _REDUCED:
            return _reduced(_REDUCED[operator], operands, attributes, contract)
    return None


def _reduced(
    reduce: Function, operands: Sequence[Array], attributes: Mapping[str, Any], contract: Contract
) -> Expected | None:
    """Bound a sum or a mean: D(K) sum |x|, and two roundings of the result."""
    x, *given = operands
    axes = given[0] if given else attributes.get("axes")
    if axes is None:  # all of them or none, as an attribute says: no decoder does that
        return None
    over = tuple(int(axis) for axis in np.asarray(axes).ravel())
    count = int(np.prod([x.shape[axis] for axis in over]))
    keep, u = bool(attributes.get("keepdims", 1)), units(contract)
    y, size = (np.asarray(reduce(part, axis=over, keepdims=keep)) for part in (x, np.abs(x)))
    return Expected(y, rounded(u.sum(count) * size + u.a * np.abs(y), y, u), contract.output)
