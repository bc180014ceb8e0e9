"""Lookups, products and linear maps: what is copied, multiplied and added up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError
from conformance.oracles.row import Operator
from conformance.oracles.units import exact, product_sum, rounded, units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

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


def product_bound(a: Array, b: Array, contract: Contract) -> Array:
    """Bound elementwise a * b: one rounding in the accumulation type, one to the output."""
    u, y = units(contract), a * b
    return rounded(u.a * np.abs(y) + u.tiny_a, y, u)


def matmul_bound(a: Array, b: Array, contract: Contract) -> Array:
    """Bound a @ b: D(K) sum |a||b|, and the rounding of the result."""
    u = units(contract)
    return rounded(product_sum(a, b, u), a @ b, u)


def linear_bound(x: Array, weight_OI: Array, bias_O: Array | None, contract: Contract) -> Array:
    """Bound x @ W.T + b: the product's error, and one rounding of the sum with the bias."""
    u, y = units(contract), linear(x, weight_OI, bias_O)
    error = product_sum(x, weight_OI.T, u)
    if bias_O is not None:  # the bias may be added first or last
        error = error + u.a * (np.abs(bias_O) + np.abs(y))
    return rounded(error, y, u)


def _gather(inputs: Inputs, attributes: Attributes, _: Contract) -> Answer:
    data, indices, axis = inputs["data"], inputs["indices"], attributes["axis"]
    size = data.shape[axis]
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        raise SpecError(
            f"Gather: indices lie in {indices.min()}..{indices.max()}; an axis of {size} allows "
            f"{-size}..{size - 1}"
        )
    value = np.take(data, indices, axis=axis)
    return {"output": (value, exact(value))}


def _matmul(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    a, b = inputs["A"], inputs["B"]
    return {"Y": (np.asarray(a @ b), np.asarray(matmul_bound(a, b, contract)))}


def _mul(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    a, b = inputs["A"], inputs["B"]
    return {"C": (a * b, product_bound(a, b, contract))}


OPERATORS = {
    "Gather": Operator(13, ("data", "indices"), ("output",), _gather, attributes={"axis": 0}),
    "MatMul": Operator(13, ("A", "B"), ("Y",), _matmul),
    "Mul": Operator(13, ("A", "B"), ("C",), _mul),
}
