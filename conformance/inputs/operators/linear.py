"""Lookups, products of matrices, and Gemm. M, K and N are the sizes of (M, K) @ (K, N)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers, with_inputs
from conformance.records import OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]
    Case = Mapping[str, Any]

_LARGE = 64.0
"""What stands out of normally distributed numbers, and overflows in no type."""


def lookups(operators: CheckedOperators) -> Strategy:
    """Gather: a table (V, D) and indices (B, T) that hold the first and the last row."""

    def make(seed: int, rows: int, width: int, tokens: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        indices = numbers.below(rows, 2, tokens)
        indices[0, 0], indices[1, -1] = 0, rows - 1
        return _gather(numbers.normal(rows, width), indices)

    return st.builds(make, SEEDS, st.integers(1, 300), st.integers(1, 40), st.integers(1, 20))


def special_lookups(operators: CheckedOperators) -> Strategy:
    """Gather from a table (V, D) of NaN, infinities, zeros of both signs and subnormals."""

    def make(seed: int, rows: int, width: int, tokens: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        least = float(ml_dtypes.finfo(operators.dtype).smallest_subnormal)
        kinds = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, least, -least, 1.0])
        table = kinds.astype(operators.dtype)[numbers.below(len(kinds), rows, width)]
        return _gather(table, numbers.below(rows, 1, tokens))

    return st.builds(make, SEEDS, st.integers(1, 9), st.integers(1, 9), st.integers(0, 9))


def _gather(table: Array, indices: Array) -> OperatorCall:
    inputs = {"data": table, "indices": indices}
    return OperatorCall("Gather", 13, inputs, {"axis": 0}, ("output",))


_FEW = st.sampled_from([1, 2, 3, 5, 8, 17])
"""Rows and columns: below, at and beyond the tiles of kernels."""


def products(operators: CheckedOperators, case: Case) -> Strategy:
    """MatMul of A (M, K) and B (K, N).

    The case says how many terms a sum has (``depth``), how many of the last are ``large``, and
    whether all are ``positive`` or nearly ``cancel``.
    """

    def make(seed: int, rows: int, columns: int) -> OperatorCall:
        numbers, depth = Numbers(operators, seed), case["depth"]
        a, b = numbers.normal(rows, depth), numbers.normal(depth, columns)
        if case.get("positive"):
            a, b = np.abs(a), np.abs(b)
        if case.get("cancel"):
            half = depth // 2
            a[:, half : 2 * half], b[half : 2 * half] = a[:, :half], -b[:half]
            order = np.argsort(numbers.normal(depth), kind="stable")
            a, b = np.ascontiguousarray(a[:, order]), b[order]
        a[:, depth - case.get("large", 0) :] *= a.dtype.type(_LARGE)
        return OperatorCall("MatMul", 13, {"A": a, "B": b})

    return st.builds(make, SEEDS, _FEW, _FEW)


_SHAPES = (
    ((2, 3, 4, 5), (2, 3, 5, 6)),
    ((2, 3, 4, 5), (5, 6)),
    ((3, 4, 5), (2, 1, 5, 6)),
    ((2, 1, 4, 5), (3, 5, 6)),
    ((1, 3, 4, 5), (2, 3, 5, 1)),
    ((5,), (5, 6)),
    ((4, 5), (5,)),
    ((5,), (5,)),
    ((5,), (2, 5, 6)),
    ((2, 4, 5), (5,)),
)
"""Stacks of matrices that broadcast to each other, and vectors."""


def stacked_products(operators: CheckedOperators) -> Strategy:
    """MatMul of stacks of matrices whose leading axes broadcast, and of vectors."""

    def make(seed: int, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> OperatorCall:
        numbers = Numbers(operators, seed)
        a, b = (numbers.normal(*shape) for shape in shapes)
        return OperatorCall("MatMul", 13, {"A": a, "B": b})

    return st.builds(make, SEEDS, st.sampled_from(_SHAPES))


def squares(operators: CheckedOperators) -> Strategy:
    """MatMul of two square matrices, which a wrong order of axes leaves in shape."""

    def make(seed: int, size: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        a, b = numbers.normal(size, size), numbers.normal(size, size)
        return OperatorCall("MatMul", 13, {"A": a, "B": b})

    return st.builds(make, SEEDS, st.sampled_from([2, 3, 8, 33]))


def laid_out(call: OperatorCall, case: Case) -> OperatorCall:
    """Return the same product, the operands that the case names ``transposed`` or ``spaced``.

    A counterexample is kept in C order, so this belongs into the check.
    """
    layouts = {"transposed": _transposed, "spaced": _spaced}
    return with_inputs(call, **{name: layouts[case[name]](call.inputs[name]) for name in case})


def _transposed(x: Array) -> Array:
    """Return the same numbers, neighbours down a column beside each other in memory."""
    return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)


def _spaced(x: Array) -> Array:
    """Return the same numbers, each third of an array's columns."""
    wide = np.zeros((*x.shape[:-1], 3 * x.shape[-1]), x.dtype)
    wide[..., 1::3] = x
    return wide[..., 1::3]


_SPECIAL = {"nan": (np.nan,), "infinity": (-np.inf,), "infinities": (np.inf, -np.inf, np.inf)}


def special_products(operators: CheckedOperators, case: Case) -> Strategy:
    """MatMul of A (M, K) and B (K, N), finite but for what the case's ``kind`` puts somewhere."""

    def make(seed: int, rows: int, depth: int, columns: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        operands = {"A": numbers.normal(rows, depth), "B": numbers.normal(depth, columns)}
        operand = operands["AB"[int(numbers.below(2))]]
        for value in _SPECIAL[case["kind"]]:
            operand[tuple(numbers.below(size) for size in operand.shape)] = value
        return OperatorCall("MatMul", 13, operands)

    return st.builds(make, SEEDS, _FEW, st.sampled_from([2, 7, 33]), _FEW)


def empty_products(operators: CheckedOperators) -> Strategy:
    """MatMul of A (M, 0) and B (0, N)."""

    def make(rows: int, columns: int) -> OperatorCall:
        inputs = {"A": np.zeros((rows, 0), operators.dtype)}
        inputs["B"] = np.zeros((0, columns), operators.dtype)
        return OperatorCall("MatMul", 13, inputs)

    return st.builds(make, _FEW, _FEW)


def without_rows(call: OperatorCall) -> OperatorCall:
    """Return the same product with an A of no rows, and as many terms as there are columns."""
    columns = call.inputs["B"].shape[1]
    dtype = call.inputs["A"].dtype
    return with_inputs(call, A=np.zeros((0, columns), dtype), B=np.ones((columns,) * 2, dtype))


def gemms(operators: CheckedOperators, case: Case) -> Strategy:
    """Gemm, square so that a transposition left out keeps the shape.

    The case gives ``alpha``, ``beta``, ``transA`` and ``transB`` where they are not the default,
    and the shape of C: ``row``, ``column``, ``scalar``, ``full``, or none.
    """

    def make(seed: int, size: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        inputs = {"A": numbers.normal(size, size), "B": numbers.normal(size, size)}
        shapes = {"row": (size,), "column": (size, 1), "scalar": (), "full": (size, size)}
        if "c" in case:
            inputs["C"] = np.asarray(numbers.normal(*shapes[case["c"]], scale=3.0))
        attributes = {name: value for name, value in case.items() if name != "c"}
        return OperatorCall("Gemm", 13, inputs, attributes)

    return st.builds(make, SEEDS, st.sampled_from([2, 3, 8, 33]))
