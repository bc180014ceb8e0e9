"""Products of quantised operands: codes that stand for numbers.

What quantising lost is no error of the product: the truth is the product of the numbers that the
codes stand for, (code - zero point) * scale. M, K and N are the sizes of a product (M, K) @ (K, N).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.errors import SpecError
from conformance.oracles.operators.linear import matmul
from conformance.oracles.row import Operator
from conformance.oracles.units import product_sum, rounded, units
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]

UINT4, INT4 = 21, 22
"""ONNX's numbers of the types of 4 bits."""
_CODES = {0: None, UINT4: (0, 15), INT4: (-8, 7)}


def matmul_integer(a: Array, b: Array, a_zero: Array | int = 0, b_zero: Array | int = 0) -> Array:
    """Return (a - a_zero) @ (b - b_zero) in int32; a sum beyond it wraps, as the standard allows.

    Args:
        a: integers of 8 bits, (..., M, K).
        b: integers of 8 bits, (..., K, N).
        a_zero: zero point of all of ``a``, or of its rows: (M,) or (..., M, 1).
        b_zero: zero point of all of ``b``, or of its columns: (N,) or (..., 1, N).
    """
    rows = np.asarray(a_zero)
    rows = rows[:, None] if rows.ndim == 1 and rows.size > 1 else rows
    # Products of 9 bits each are exact in fp64, and so are their sums up to K = 2**35.
    total = (a.astype(np.float64) - rows) @ (b.astype(np.float64) - np.asarray(b_zero))
    return np.asarray(total).astype(np.int64).astype(np.int32)


def dequantize(
    codes: Array, scale: Array, zero_point: Array | None = None, axis: int = -1, block: int = 0
) -> Array:
    """Return (codes - zero point) * scale, as DequantizeLinear does.

    Args:
        codes: of any type, (..., K) or (K, N).
        scale: one number; one for each index of ``axis``; or one for each block along ``axis``.
        zero_point: of the shape of ``scale``; None for 0.
        axis: the axis of per-axis and blocked scales.
        block: the size of a block.
    """
    zero = np.zeros(scale.shape, scale.dtype) if zero_point is None else zero_point
    scales, zeros = (_spread(t, codes, axis, block) for t in (scale, zero))
    numbers: Array = (codes.astype(scale.dtype) - zeros.astype(scale.dtype)) * scales
    return numbers


def _spread(parameter: Array, codes: Array, axis: int, block: int) -> Array:
    """Return a scale or zero point so that it broadcasts to the codes."""
    if block and parameter.ndim == codes.ndim:
        indices = np.arange(codes.shape[axis]) // block
        return np.take(parameter, indices, axis=axis)
    if parameter.ndim == 1:
        shape = [1] * codes.ndim
        shape[axis] = parameter.size
        return parameter.reshape(shape)
    return parameter


def decoded_product_bound(a: Array, b: Array, contract: Contract, decoded: int) -> Array:
    """Bound a @ b of operands of which ``decoded`` (1 or 2) were codes.

    Beside the product's own error, D(K) sum |a||b|: a decoded operand is rounded once, when it is
    multiplied by its scale, in the intermediate type (u_i |a||b| in each product; the difference
    from the zero point is an integer below 256 and exact). Numbers of one code err alike, so these
    errors do not average out. Multiplying the sum by the scales instead rounds twice, within that.
    """
    u, y = units(contract), matmul(a, b)
    sizes = [np.abs(x) for x in (a, b)]
    tiny = precision.smallest_subnormal(contract.intermediate)
    vanished = tiny * (sizes[0].sum(-1, keepdims=True) + sizes[1].sum(-2, keepdims=True))
    error = product_sum(a, b, u) + decoded * u.i * (sizes[0] @ sizes[1])
    return rounded(error + vanished, y, u)


def _matmul_integer(inputs: Inputs, _: Attributes, __: Contract) -> Answer:
    zeros = (inputs.get("a_zero_point", 0), inputs.get("b_zero_point", 0))
    value = matmul_integer(inputs["A"], inputs["B"], *zeros)
    return {"Y": (value, np.zeros(value.shape))}


def _quantized_matmul(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    a = dequantize(inputs["A"], inputs["a_scale"], inputs.get("a_zero_point"), axis=-2)
    b = dequantize(inputs["B"], inputs["b_scale"], inputs.get("b_zero_point"), axis=-1)
    return {"Y": (matmul(a, b), decoded_product_bound(a, b, contract, decoded=2))}


def _quantized_weight_matmul(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    a, codes, block = inputs["A"], inputs["B"], attributes["block_size"]
    allowed = _CODES[attributes["code_type"]]
    if allowed and codes.size and not allowed[0] <= codes.min() <= codes.max() <= allowed[1]:
        raise SpecError(
            f"QuantizedWeightMatMul: codes lie in {codes.min()}..{codes.max()}; their type allows "
            f"{allowed[0]}..{allowed[1]}"
        )
    axis = 0 if block else -1
    b = dequantize(codes, inputs["b_scale"], inputs.get("b_zero_point"), axis, block)
    return {"Y": (matmul(a, b), decoded_product_bound(a, b, contract, decoded=1))}


OPERATORS = {
    "MatMulInteger": Operator(
        10, ("A", "B"), ("Y",), _matmul_integer, optional=("a_zero_point", "b_zero_point")
    ),
    # Y = A' @ B' with A' = (A - a_zero_point) * a_scale and B' likewise. Codes are integers of 8
    # bits or floats of 8 bits; scales are one number, or one for each row of A or column of B.
    "QuantizedMatMul": Operator(
        23,
        ("A", "B", "a_scale", "b_scale"),
        ("Y",),
        _quantized_matmul,
        optional=("a_zero_point", "b_zero_point"),
        domain=OWN_DOMAIN,
    ),
    # Y = A @ B' with B' = (B - b_zero_point) * b_scale; a scale is one number, one for each column,
    # or one for each block of block_size rows. Codes of 4 bits stand one in a byte; code_type is
    # ONNX's number of their type, 0 for that in which they come.
    "QuantizedWeightMatMul": Operator(
        23,
        ("A", "B", "b_scale"),
        ("Y",),
        _quantized_weight_matmul,
        optional=("b_zero_point",),
        attributes={"block_size": 0, "code_type": 0},
        domain=OWN_DOMAIN,
    ),
}
