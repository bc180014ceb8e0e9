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


def matmul(a: Array, b: Array) -> Array:
    """Return a @ b; a result is NaN where one of its own terms is, or infinities cancel."""
    with np.errstate(invalid="ignore"):  # 0 * inf and inf - inf
        return np.asarray(a @ b)


def matmul_bound(a: Array, b: Array, contract: Contract) -> Array:
    """Bound a @ b: D(K) sum |a||b|, and the rounding of the result."""
    u, y = units(contract), matmul(a, b)
    with np.errstate(invalid="ignore"):
        error = np.asarray(product_sum(a, b, u))
    return rounded(error, y, u)


def linear_bound(x: Array, weight_OI: Array, bias_O: Array | None, contract: Contract) -> Array:
    """Bound x @ W.T + b, as Gemm with alpha and beta 1."""
    if bias_O is None:
        return matmul_bound(x, weight_OI.T, contract)
    return gemm_bound(x, weight_OI.T, bias_O, contract)


def gemm(a: Array, b: Array, c: Array | None = None, alpha: float = 1, beta: float = 1) -> Array:
    """Return alpha * a @ b + beta * c, in the type of a."""
    y: Array = a.dtype.type(alpha) * matmul(a, b)
    return y if c is None else y + a.dtype.type(beta) * c


def gemm_bound(
    a: Array, b: Array, c: Array, contract: Contract, alpha: float = 1, beta: float = 1
) -> Array:
    """Bound alpha * a @ b + beta * c.

    The sum of products errs by D(K) sum |a||b|. c may stand in the accumulator from the start: it
    then takes part in K + 1 roundings, D(K + 1) |beta c|; added last it is rounded once, as part
    of y. Alpha may scale the factors, u sum |alpha||a||b|, or the sum; a kernel made of several
    rounds each of the three intermediate results to the intermediate type: a @ b, its product with
    alpha, beta c. A factor of 1 rounds nothing.
    """
    u, y = units(contract), gemm(a, b, c, alpha, beta)
    with np.errstate(invalid="ignore"):
        product, added = np.abs(alpha * matmul(a, b)), np.abs(beta * c)
        error = abs(alpha) * product_sum(a, b, u) + u.sum(a.shape[-1] + 1) * added
        error = error + u.a * np.abs(y) + u.i * product + 2 * u.tiny_a
        if alpha != 1:
            error = error + u.a * abs(alpha) * (np.abs(a) @ np.abs(b)) + u.i * product
        if beta != 1:
            error = error + u.i * added
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
    return {"Y": (matmul(a, b), matmul_bound(a, b, contract))}


def _gemm(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    a = inputs["A"].T if attributes["transA"] else inputs["A"]
    b = inputs["B"].T if attributes["transB"] else inputs["B"]
    alpha, beta, c = attributes["alpha"], attributes["beta"], inputs.get("C")
    # Decision: without C nothing is added, and beta 0 takes 0 * C like any other factor.
    c = np.zeros(()) if c is None else c
    return {"Y": (gemm(a, b, c, alpha, beta), gemm_bound(a, b, c, contract, alpha, beta))}


def _mul(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    a, b = inputs["A"], inputs["B"]
    return {"C": (a * b, product_bound(a, b, contract))}


OPERATORS = {
    "Gather": Operator(13, ("data", "indices"), ("output",), _gather, attributes={"axis": 0}),
    "Gemm": Operator(
        13,
        ("A", "B"),
        ("Y",),
        _gemm,
        optional=("C",),
        attributes={"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
    ),
    "MatMul": Operator(13, ("A", "B"), ("Y",), _matmul),
    "Mul": Operator(13, ("A", "B"), ("C",), _mul),
}
