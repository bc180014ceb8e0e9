"""Products of quantised operands. M, K and N are the sizes of (M, K) @ (K, N)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers
from conformance.records import OWN_DOMAIN, OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]
    Case = Mapping[str, Any]

_ROWS = st.sampled_from([1, 2, 3, 8])
_COLUMNS = st.sampled_from([2, 3, 4, 17])
_FLOATS = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}
_CODE_TYPES = {"uint4": (21, 0, 16), "int4": (22, -8, 8), "int8": (0, -128, 128)}
"""ONNX's number of a type, and its least and first missing code."""
_BLOCK = 32


def integer_products(operators: CheckedOperators, case: Case) -> Strategy:
    """MatMulInteger of codes of the types ``a`` and ``b``, K = ``depth``.

    ``extreme`` codes lie at the ends of their type's range; ``zeros`` are of the whole operands
    (``one``), of each row of A (``rows``), or of each column of B (``columns``).
    """

    def make(seed: int, rows: int, columns: int) -> OperatorCall:
        numbers, depth = Numbers(operators, seed), case["depth"]
        shapes = {"A": (rows, depth), "B": (depth, columns)}
        inputs = {n: _codes(numbers, case[n.lower()], *shapes[n]) for n in shapes}
        if case.get("extreme"):
            inputs = {n: np.where(x > x.mean(), _last(x), _first(x)) for n, x in inputs.items()}
        if "zeros" in case:
            of_a = (rows,) if case["zeros"] == "rows" else ()
            of_b = (columns,) if case["zeros"] == "columns" else ()
            inputs["a_zero_point"] = _codes(numbers, case["a"], *of_a)
            inputs["b_zero_point"] = _codes(numbers, case["b"], *of_b)
        return OperatorCall("MatMulInteger", 10, inputs)

    return st.builds(make, SEEDS, _ROWS, _COLUMNS)


def _codes(numbers: Numbers, name: str, *shape: int) -> Array:
    """Return codes of 8 bits, all of the type's equally often."""
    return np.asarray(numbers.below(256, *shape), np.uint8).view(name)


def _first(codes: Array) -> Any:
    return codes.dtype.type(np.iinfo(codes.dtype).min)


def _last(codes: Array) -> Any:
    return codes.dtype.type(np.iinfo(codes.dtype).max)


def quantized_products(operators: CheckedOperators, case: Case) -> Strategy:
    """QuantizedMatMul of integer codes of the types ``a`` and ``b``, square where axes could swap.

    A's scale is one number or one for each of its ``rows``, B's one for each column. ``zeros`` adds
    zero points of the same shapes.
    """

    def make(seed: int, depth: int, size: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        inputs = {
            "A": _codes(numbers, case["a"], size, depth),
            "B": _codes(numbers, case["b"], depth, size),
            "a_scale": _scales(numbers, operators, *((size,) if case.get("rows") else ())),
            "b_scale": _scales(numbers, operators, size),
        }
        if case.get("zeros"):
            inputs["a_zero_point"] = _codes(numbers, case["a"], *inputs["a_scale"].shape)
            inputs["b_zero_point"] = _codes(numbers, case["b"], size)
        return OperatorCall("QuantizedMatMul", 23, inputs, domain=OWN_DOMAIN)

    return st.builds(make, SEEDS, st.sampled_from([1, 7, 64, 129]), _COLUMNS)


def float8_products(operators: CheckedOperators, case: Case) -> Strategy:
    """QuantizedMatMul of codes of 8 floating-point bits, of the types ``a`` and ``b``.

    The case's ``spread`` is their standard deviation: small, most are subnormal.
    """

    def make(seed: int, depth: int, rows: int, columns: int) -> OperatorCall:
        numbers, spread = Numbers(operators, seed), case["spread"]
        inputs = {
            "A": numbers.normal(rows, depth, scale=spread).astype(_FLOATS[case["a"]]),
            "B": numbers.normal(depth, columns, scale=spread).astype(_FLOATS[case["b"]]),
            "a_scale": _scales(numbers, operators),
            "b_scale": _scales(numbers, operators, columns),
        }
        return OperatorCall("QuantizedMatMul", 23, inputs, domain=OWN_DOMAIN)

    return st.builds(make, SEEDS, st.sampled_from([1, 7, 64, 129]), _ROWS, _COLUMNS)


def weight_products(operators: CheckedOperators, case: Case) -> Strategy:
    """QuantizedWeightMatMul of positive A (M, K) and codes of a ``code`` type, scaled in blocks.

    ``zeros`` adds zero points, some of which are 0.
    """

    def make(seed: int, blocks: int, rows: int, columns: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        kind, first, end = _CODE_TYPES[case["code"]]
        stored = np.uint8 if first == 0 else np.int8
        depth = blocks * _BLOCK
        # Zero points that are off move every product the same way: what is positive adds up.
        inputs = {
            "A": np.abs(numbers.normal(rows, depth)),
            "B": (numbers.below(end - first, depth, columns) + first).astype(stored),
            "b_scale": _scales(numbers, operators, blocks, columns),
        }
        if case.get("zeros"):
            zeros = (numbers.below(end - first, blocks, columns) + first).astype(stored)
            zeros[:, 0] = 0
            inputs["b_zero_point"] = zeros
        attributes = {"block_size": _BLOCK, "code_type": kind}
        return OperatorCall("QuantizedWeightMatMul", 23, inputs, attributes, domain=OWN_DOMAIN)

    return st.builds(make, SEEDS, st.sampled_from([2, 3, 5]), _ROWS, _COLUMNS)


def _scales(numbers: Numbers, operators: CheckedOperators, *shape: int) -> Array:
    """Return scales between 1/1024 and 1/64, all different."""
    size = 2.0 ** (-6 - 4 * numbers.below(1 << 10, *shape) / (1 << 10))
    return np.asarray(size).astype(operators.dtype)
