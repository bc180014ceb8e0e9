"""Faults of products of matrices, of Gemm, and of lookups. A (M, K) meets B (K, N).

Sums in a narrow type are taken step by step, in the middle of an otherwise exact product.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

PRODUCT, GEMM = "operator MatMul", "operator Gemm"
ALL = ("LINEAR-001", "LINEAR-002", "LINEAR-003", "LINEAR-004")
_BLOCK = 32


def _with(call: OperatorCall, **inputs: Any) -> OperatorCall:
    return dataclasses.replace(call, inputs={**call.inputs, **inputs})


def _terms(call: OperatorCall, kept: Any) -> OperatorCall:
    """Return the product with some of the terms of each sum."""
    a, b = call.inputs["A"], call.inputs["B"]
    return _with(call, A=a[..., kept], B=b[kept] if b.ndim == 1 else b[..., kept, :])


def _depth(call: OperatorCall) -> int:
    depth: int = call.inputs["A"].shape[-1]
    return depth


@mutant(PRODUCT, kills=ALL, bug="generic")
def last_term_dropped(honest: Honest, call: OperatorCall) -> Any:
    """The last term of each sum is left out, unless it is the only one."""
    return honest(_terms(call, slice(0, max(_depth(call) - 1, min(_depth(call), 1)))))


@mutant(PRODUCT, kills=("LINEAR-001", "LINEAR-003", "LINEAR-004"), bug="generic")
def terms_beyond_whole_blocks_dropped(honest: Honest, call: OperatorCall) -> Any:
    """Terms are added in blocks of 32, and those that fill no block are left out."""
    whole = _depth(call) // _BLOCK * _BLOCK
    return honest(_terms(call, slice(0, whole or None)))


@mutant(PRODUCT, kills=("LINEAR-001",), bug="generic")
def block_of_terms_dropped(honest: Honest, call: OperatorCall) -> Any:
    """The second of several blocks of 32 terms is left out."""
    at = np.arange(_depth(call)) // _BLOCK
    return honest(_terms(call, (at != 1) | (at.max(initial=0) < 2)))


def _stepwise(
    call: OperatorCall, step: Callable[[Any], Any], block: int, dtype: Any = None
) -> dict[str, Any]:
    """Return the product, ``step`` taken of each running sum of exact products."""
    a, b = (call.inputs[name].astype(np.float64) for name in ("A", "B"))
    if min(a.ndim, b.ndim) < 2:
        a, b = np.atleast_2d(a), b if b.ndim > 1 else b[:, None]
    with np.errstate(invalid="ignore"):
        total = step(a[..., :0] @ b[..., :0, :])
        for k in range(0, a.shape[-1], block):
            total = step(total + a[..., k : k + block] @ b[..., k : k + block, :])
        shape = np.matmul(call.inputs["A"], call.inputs["B"]).shape
    return {"Y": total.reshape(shape).astype(dtype or call.inputs["A"].dtype)}


def _narrow(dtype: Any) -> Callable[[Any], Any]:
    def step(total: Any) -> Any:
        with np.errstate(over="ignore"):
            return total.astype(dtype).astype(np.float64)

    return step


@mutant(PRODUCT, kills=ALL, bug="generic")
def sums_in_float16(_: Honest, call: OperatorCall) -> Any:
    """Each 8 terms the running sum is rounded to float16."""
    return _stepwise(call, _narrow(np.float16), 8)


@mutant(PRODUCT, kills=ALL, bug="generic")
def sums_in_bfloat16(_: Honest, call: OperatorCall) -> Any:
    """Each 8 terms the running sum is rounded to bfloat16."""
    return _stepwise(call, _narrow(ml_dtypes.bfloat16), 8)


def _cut(total: Any, dtype: Any = np.float32) -> Any:
    """Return float64 numbers in a type, cut off behind its last bit."""
    nearest = total.astype(dtype)
    beyond = np.abs(nearest.astype(np.float64)) > np.abs(total)
    return np.where(beyond, np.nextafter(nearest, nearest.dtype.type(0)), nearest)


@mutant(PRODUCT, kills=("LINEAR-001",), bug="generic")
def sums_toward_zero(_: Honest, call: OperatorCall) -> Any:
    """Each 4 terms the running sum is cut to float32, so that errors of one sign add up."""
    dtype = call.inputs["A"].dtype
    y = _stepwise(call, lambda total: _cut(total).astype(np.float64), 4, np.float64)["Y"]
    return {"Y": _cut(y, dtype)}


@mutant(PRODUCT, kills=ALL, bug="generic")
def one_result_off(honest: Honest, call: OperatorCall) -> Any:
    """The last result is off by a thirtieth of its terms' sizes."""
    y = honest(call)["Y"].copy()
    sizes = np.abs(call.inputs["A"]).astype(np.float64) @ np.abs(call.inputs["B"])
    last = (-1,) * y.ndim
    if _depth(call) and y.size and np.isfinite(y[last]):
        y[last] += (sizes[last] / 30).astype(y.dtype)
    return {"Y": y}


@mutant(
    PRODUCT,
    kills=ALL,
    bug="generic",
    equivalent_at={
        "bf16": "A bfloat16 number has 8 bits, and TF32 keeps 11.",
        "fp16": "A float16 number has 11 bits, and TF32 keeps them.",
    },
)
def factors_in_tf32(honest: Honest, call: OperatorCall) -> Any:
    """Factors are read as TF32 does, with 11 bits, though that is not claimed."""
    if call.inputs["A"].dtype != np.float32:
        return honest(call)
    rounded = {
        name: ((x.view(np.uint32) + 0x0FFF + ((x.view(np.uint32) >> 13) & 1)) & 0xFFFFE000).view(
            np.float32
        )
        for name, x in call.inputs.items()
    }
    return honest(_with(call, **rounded))


@mutant(PRODUCT, kills=("LINEAR-002",), bug="generic")
def first_matrix_for_all(honest: Honest, call: OperatorCall) -> Any:
    """All matrices of A's stack meet the first of B's."""
    b = call.inputs["B"]
    if b.ndim < 3:
        return honest(call)
    return honest(_with(call, B=np.ascontiguousarray(np.broadcast_to(b[:1], b.shape))))


@mutant(PRODUCT, kills=("LINEAR-003",), bug="generic")
def strides_ignored(honest: Honest, call: OperatorCall) -> Any:
    """Operands are read in the order of memory, whatever their strides."""
    packed = {
        name: np.lib.stride_tricks.as_strided(x, x.shape, np.empty(x.shape, x.dtype).strides)
        for name, x in call.inputs.items()
    }
    return honest(_with(call, **packed))


@mutant(PRODUCT, kills=("LINEAR-004",), bug="generic")
def nan_read_as_zero(honest: Honest, call: OperatorCall) -> Any:
    """NaN among the factors is read as 0."""
    inputs = {n: np.where(np.isnan(x), x.dtype.type(0), x) for n, x in call.inputs.items()}
    return honest(_with(call, **inputs))


@mutant(PRODUCT, kills=("LINEAR-004",), bug="generic")
def infinity_clamped(honest: Honest, call: OperatorCall) -> Any:
    """Infinity among the factors is read as the largest finite number."""
    largest = float(ml_dtypes.finfo(call.inputs["A"].dtype).max)
    inputs = {
        n: np.where(np.isinf(x), np.copysign(largest, x).astype(x.dtype), x)
        for n, x in call.inputs.items()
    }
    return honest(_with(call, **inputs))


@mutant(PRODUCT, kills=("LINEAR-004",), bug="generic")
def nan_reaches_its_tile(honest: Honest, call: OperatorCall) -> Any:
    """A result that is not finite makes the others of its tile of four columns NaN."""
    y = honest(call)["Y"].copy()
    for start in range(0, y.shape[-1] if y.ndim else 0, 4):
        tile = y[..., start : start + 4]
        spoilt = ~np.isfinite(tile).all(axis=-1, keepdims=True)
        tile[...] = np.where(spoilt & np.isfinite(tile), y.dtype.type(np.nan), tile)
    return {"Y": y}


@mutant(PRODUCT, kills=("LINEAR-005",), bug="generic")
def empty_sum_not_written(honest: Honest, call: OperatorCall) -> Any:
    """Where there is no term the result is what was in memory."""
    y = honest(call)["Y"]
    return {"Y": y if _depth(call) else np.full_like(y, 7)}


@mutant(
    PRODUCT,
    equivalent="A sum is the same in any order: a[:, reversed] @ b[reversed] adds the same terms.",
    bug="generic",
)
def terms_in_reverse(honest: Honest, call: OperatorCall) -> Any:
    """Terms are added from the last to the first."""
    return honest(_terms(call, slice(None, None, -1)))


@mutant(
    PRODUCT,
    equivalent="Multiplying by a power of two rounds nothing, and its reciprocal takes it back.",
    bug="generic",
)
def factors_scaled_by_powers_of_two(honest: Honest, call: OperatorCall) -> Any:
    """A is halved and B doubled before they are multiplied."""
    a, b = call.inputs["A"], call.inputs["B"]
    return honest(_with(call, A=a * a.dtype.type(0.5), B=b * b.dtype.type(2)))


def _attributes(call: OperatorCall, **attributes: Any) -> OperatorCall:
    return dataclasses.replace(call, attributes={**call.attributes, **attributes})


@mutant(GEMM, kills=("LINEAR-006",), bug="generic")
def bias_dropped(honest: Honest, call: OperatorCall) -> Any:
    """Nothing is added to the product."""
    inputs = {name: x for name, x in call.inputs.items() if name != "C"}
    return honest(dataclasses.replace(call, inputs=inputs))


@mutant(GEMM, kills=("LINEAR-006",), bug="generic")
def beta_ignored(honest: Honest, call: OperatorCall) -> Any:
    """C is added as it is, not times beta."""
    return honest(_attributes(call, beta=1.0))


@mutant(GEMM, kills=("LINEAR-006",), bug="generic")
def alpha_scales_the_bias(honest: Honest, call: OperatorCall) -> Any:
    """Alpha multiplies the whole sum, C included."""
    attributes = call.attributes
    both = attributes.get("alpha", 1.0) * attributes.get("beta", 1.0)
    return honest(_attributes(call, beta=both))


@mutant(GEMM, kills=("LINEAR-006",), bug="generic")
def transposition_of_b_ignored(honest: Honest, call: OperatorCall) -> Any:
    """B is taken as it lies, transposed or not."""
    return honest(_attributes(call, transB=0))


@mutant(GEMM, kills=("LINEAR-006",), bug="generic")
def bias_along_the_rows(honest: Honest, call: OperatorCall) -> Any:
    """A bias of the columns is added along the rows, where that keeps the shape."""
    c = call.inputs.get("C", np.zeros(()))
    return honest(_with(call, C=c[:, None]) if c.ndim == 1 else call)


@mutant(
    GEMM,
    kills=("LINEAR-006",),
    bug="generic",
    equivalent_at={"fp16": "What is answered are float16 numbers there."},
    below_noise_at=("bf16",),
)
def gemm_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The product is rounded to float16 before anything is added to it."""
    whole = dataclasses.replace(call, inputs={n: call.inputs[n] for n in ("A", "B")})
    product = honest(whole)["Y"].astype(np.float64)
    with np.errstate(over="ignore"):
        lost = product.astype(np.float16).astype(np.float64) - product
    y = honest(call)["Y"]
    return {"Y": (y + lost).astype(y.dtype)}


@mutant("operator Gather", kills=("EMBED-002",), bug="generic")
def lookup_flushes_subnormals(honest: Honest, call: OperatorCall) -> Any:
    """Subnormal numbers of the table come back as zero."""
    y = honest(call)["output"]
    least = float(ml_dtypes.finfo(y.dtype).smallest_normal)
    return {"output": np.where(np.abs(y) < least, np.copysign(y.dtype.type(0), y), y)}


@mutant("operator Gather", kills=("EMBED-002",), bug="generic")
def lookup_by_one_hot_product(_: Honest, call: OperatorCall) -> Any:
    """Rows are looked up by a product with one-hot rows, where 0 times infinity is NaN."""
    table, indices = call.inputs["data"], call.inputs["indices"]
    one_hot = np.eye(len(table))[indices]
    with np.errstate(invalid="ignore"):
        return {"output": (one_hot @ table.astype(np.float64)).astype(table.dtype)}
