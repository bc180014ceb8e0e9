"""Faults of products of quantised operands. A (M, K) meets B (K, N)."""

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

INTEGERS, CODES = "operator MatMulInteger", "operator QuantizedMatMul"
WEIGHTS = "operator QuantizedWeightMatMul"


def _with(call: OperatorCall, **inputs: Any) -> OperatorCall:
    return dataclasses.replace(call, inputs={**call.inputs, **inputs})


def _without(call: OperatorCall, *names: str) -> OperatorCall:
    kept = {name: x for name, x in call.inputs.items() if name not in names}
    return dataclasses.replace(call, inputs=kept)


def _zero_points(call: OperatorCall) -> tuple[Any, Any]:
    """Return both zero points in int32, shaped to be subtracted from their operands."""
    a, b = (call.inputs.get(f"{name}_zero_point", np.zeros(())) for name in "ab")
    return np.atleast_1d(a)[:, None].astype(np.int32), b.astype(np.int32)


def _shifted(call: OperatorCall) -> tuple[Any, Any]:
    """Return both operands less their zero points, in float64."""
    a, b = (call.inputs[name].astype(np.float64) for name in ("A", "B"))
    of_a, of_b = _zero_points(call)
    return a - of_a, b - of_b


@mutant(INTEGERS, kills=("QUANT-001", "QUANT-002", "QUANT-007"), bug="microsoft/onnxruntime#6004")
def pairs_saturate_at_16_bits(_: Honest, call: OperatorCall) -> Any:
    """Products are added in pairs that saturate at 16 bits."""
    a, b = _shifted(call)
    depth = a.shape[1] + a.shape[1] % 2
    a = np.pad(a, ((0, 0), (0, depth - a.shape[1])))
    b = np.pad(b, ((0, depth - b.shape[0]), (0, 0)))
    terms = a[:, :, None] * b[None]
    pairs = terms.reshape(len(a), depth // 2, 2, -1).sum(axis=2)
    return {"Y": np.clip(pairs, -32768, 32767).sum(axis=1).astype(np.int32)}


@mutant(INTEGERS, kills=("QUANT-001",), bug="generic")
def integer_sums_in_float32(_: Honest, call: OperatorCall) -> Any:
    """Products are added up in float32, which holds integers up to 2**24."""
    a, b = _shifted(call)
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        total = total + (a[:, k, None] * b[k]).astype(np.float32)
    return {"Y": total.astype(np.int32)}


@mutant(INTEGERS, kills=("QUANT-001", "QUANT-002", "QUANT-007"), bug="generic")
def signed_codes_read_as_unsigned(honest: Honest, call: OperatorCall) -> Any:
    """Signed codes of B are read as unsigned."""
    b = call.inputs["B"]
    return honest(_with(call, B=b.view(np.uint8)))


@mutant(INTEGERS, kills=("QUANT-002", "QUANT-007"), bug="generic")
def zero_point_of_a_ignored(honest: Honest, call: OperatorCall) -> Any:
    """A's zero point is taken for 0."""
    return honest(_without(call, "a_zero_point"))


@mutant(INTEGERS, kills=("QUANT-007",), bug="generic")
def zero_point_of_the_first_row(honest: Honest, call: OperatorCall) -> Any:
    """The first row's zero point is taken for all rows of A."""
    zeros = call.inputs.get("a_zero_point")
    if zeros is None:
        return honest(call)
    return honest(_with(call, a_zero_point=np.full_like(zeros, zeros.flat[0])))


@mutant(INTEGERS, kills=("QUANT-002",), bug="generic")
def zero_point_of_the_first_column(honest: Honest, call: OperatorCall) -> Any:
    """The first column's zero point is taken for all columns."""
    zeros = call.inputs.get("b_zero_point")
    if zeros is None:
        return honest(call)
    return honest(_with(call, b_zero_point=np.full_like(zeros, zeros.flat[0])))


@mutant(INTEGERS, kills=("QUANT-002", "QUANT-007"), bug="generic")
def product_of_zero_points_forgotten(honest: Honest, call: OperatorCall) -> Any:
    """Corrections for both zero points are subtracted, and what they share is not added back."""
    y, depth = honest(call)["Y"], call.inputs["A"].shape[1]
    of_a, of_b = _zero_points(call)
    return {"Y": y - depth * of_a * of_b}


@mutant(CODES, kills=("QUANT-003", "QUANT-006"), bug="generic")
def zero_points_ignored(honest: Honest, call: OperatorCall) -> Any:
    """Codes are scaled without their zero points."""
    return honest(_without(call, "a_zero_point", "b_zero_point"))


@mutant(CODES, kills=("QUANT-003", "QUANT-006"), bug="generic")
def scale_of_the_wrong_axis(honest: Honest, call: OperatorCall) -> Any:
    """The scales of A's rows multiply the columns of the product, where that keeps the shape."""
    scales = call.inputs["a_scale"]
    if scales.ndim == 0:
        return honest(call)
    y = honest(_with(call, a_scale=np.ones_like(scales)))["Y"]
    return {"Y": (y.astype(np.float64) * scales.astype(np.float64)).astype(y.dtype)}


@mutant(CODES, kills=("QUANT-003", "QUANT-004", "QUANT-006"), bug="generic")
def scale_of_the_first_column(honest: Honest, call: OperatorCall) -> Any:
    """The first column's scale is taken for all columns."""
    scales = call.inputs["b_scale"]
    return honest(_with(call, b_scale=np.full_like(scales, scales.flat[0])))


@mutant(CODES, kills=("QUANT-003", "QUANT-004", "QUANT-006"), bug="generic")
def scale_of_a_dropped(honest: Honest, call: OperatorCall) -> Any:
    """A's scale is not applied."""
    return honest(_with(call, a_scale=np.ones_like(call.inputs["a_scale"])))


@mutant(
    CODES,
    kills=("QUANT-003", "QUANT-004", "QUANT-006"),
    bug="generic",
    equivalent_at={"bf16": "Scales are bfloat16 numbers there."},
)
def scales_in_bfloat16(honest: Honest, call: OperatorCall) -> Any:
    """Scales are kept in bfloat16."""
    narrow = {
        name: call.inputs[name].astype(ml_dtypes.bfloat16).astype(call.inputs[name].dtype)
        for name in ("a_scale", "b_scale")
    }
    return honest(_with(call, **narrow))


def _refloated(call: OperatorCall, formats: dict[Any, Any]) -> OperatorCall:
    """Return the call with the bits of its floating-point codes read in other formats."""
    known = {np.dtype(old): np.dtype(new) for old, new in formats.items()}
    read = {}
    for name in ("A", "B"):
        codes = call.inputs[name]
        if codes.dtype in known:
            other = codes.view(known[codes.dtype]).astype(np.float32)
            read[name] = np.nan_to_num(other).astype(call.inputs["a_scale"].dtype)
    return _with(call, **read)


@mutant(CODES, kills=("QUANT-004",), bug="generic")
def e5m2_read_as_e4m3(honest: Honest, call: OperatorCall) -> Any:
    """Codes of both formats of 8 floating-point bits are read as E4M3."""
    return honest(_refloated(call, {ml_dtypes.float8_e5m2: ml_dtypes.float8_e4m3fn}))


@mutant(CODES, kills=("QUANT-004",), bug="causalflow-ai/petit-kernel#3")
def exponent_bias_of_fnuz(honest: Honest, call: OperatorCall) -> Any:
    """E4M3 codes are read with the bias of the variant without negative zero: halved."""
    return honest(_refloated(call, {ml_dtypes.float8_e4m3fn: ml_dtypes.float8_e4m3fnuz}))


@mutant(CODES, kills=("QUANT-004",), bug="generic")
def float8_subnormals_flushed(honest: Honest, call: OperatorCall) -> Any:
    """Subnormal codes are read as zero."""
    flushed = {}
    for name in ("A", "B"):
        codes = call.inputs[name]
        if not np.issubdtype(codes.dtype, np.integer):
            least = float(ml_dtypes.finfo(codes.dtype).smallest_normal)
            small = np.abs(codes.astype(np.float32)) < least
            flushed[name] = np.where(small, codes.dtype.type(0), codes)
    return honest(_with(call, **flushed))


def _zeros(call: OperatorCall, change: Callable[[Any], Any]) -> OperatorCall:
    zeros = call.inputs.get("b_zero_point")
    return call if zeros is None else _with(call, b_zero_point=change(zeros).astype(zeros.dtype))


@mutant(WEIGHTS, kills=("QUANT-005",), bug="vllm-project/vllm#38966")
def zero_point_one_more(honest: Honest, call: OperatorCall) -> Any:
    """Zero points are one more than the checkpoint's, which were stored less one."""
    return honest(_zeros(call, lambda zeros: np.minimum(zeros, 126) + 1))


@mutant(WEIGHTS, kills=("QUANT-005",), bug="ModelCloud/GPTQModel#2350")
def zero_point_0_read_as_15(honest: Honest, call: OperatorCall) -> Any:
    """A zero point of 0, stored less one in 4 bits, comes back as 15."""
    return honest(_zeros(call, lambda zeros: np.where(zeros == 0, 15, zeros)))


@mutant(WEIGHTS, kills=("QUANT-005",), bug="vllm-project/vllm#21066")
def zero_points_for_symmetric_codes(honest: Honest, call: OperatorCall) -> Any:
    """Codes without zero points get one of 8."""
    if "b_zero_point" in call.inputs:
        return honest(call)
    zeros = np.full(call.inputs["b_scale"].shape, 8, call.inputs["B"].dtype)
    return honest(_with(call, b_zero_point=zeros))


@mutant(WEIGHTS, kills=("QUANT-005",), bug="generic")
def scale_of_the_next_block(honest: Honest, call: OperatorCall) -> Any:
    """The last row of each block is scaled as the first of the next block."""
    size, scales = call.attributes["block_size"], call.inputs["b_scale"]
    codes = call.inputs["B"]
    block = np.minimum((np.arange(len(codes)) + 1) // size, len(scales) - 1)
    inputs = {"b_scale": scales[block]}
    if "b_zero_point" in call.inputs:
        inputs["b_zero_point"] = call.inputs["b_zero_point"][block]
    attributes = {**call.attributes, "block_size": 1}
    return honest(dataclasses.replace(_with(call, **inputs), attributes=attributes))


@mutant(WEIGHTS, kills=("QUANT-005",), bug="generic")
def nibbles_swapped(honest: Honest, call: OperatorCall) -> Any:
    """The two codes of a byte are read in the other order."""
    codes = call.inputs["B"]
    swapped = codes.reshape(-1, 2, codes.shape[1])[:, ::-1].reshape(codes.shape)
    return honest(_with(call, B=swapped) if call.attributes["code_type"] else call)


@mutant(
    WEIGHTS,
    equivalent="(code + 1) - (zero point + 1) is code - zero point, in integers.",
    bug="generic",
)
def codes_and_zero_points_moved(honest: Honest, call: OperatorCall) -> Any:
    """Codes and zero points are stored one more, where both have room."""
    if "b_zero_point" not in call.inputs or call.inputs["B"].dtype != np.uint8:
        return honest(call)
    codes, zeros = call.inputs["B"], call.inputs["b_zero_point"]
    return honest(_with(call, B=codes + np.uint8(1), b_zero_point=zeros + np.uint8(1)))
