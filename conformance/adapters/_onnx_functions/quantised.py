"""Products of quantised operands: DequantizeLinear of the operands, then MatMul."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def _quantized_matmul(_: Mapping[str, Any]) -> str:
    return """
        a = DequantizeLinear <axis = -2> (A, a_scale, a_zero_point)
        b = DequantizeLinear <axis = -1> (B, b_scale, b_zero_point)
        Y = MatMul (a, b)
    """


def _quantized_weight_matmul(attributes: Mapping[str, Any]) -> str:
    block, kind = attributes.get("block_size", 0), attributes.get("code_type", 0)
    cast = f"Cast <to = {kind}>" if kind else "Identity"
    axis = 0 if block else -1
    return f"""
        codes = {cast} (B)
        zero = {cast} (b_zero_point)
        b = DequantizeLinear <axis = {axis}, block_size = {block}> (codes, b_scale, zero)
        Y = MatMul (A, b)
    """


FUNCTIONS = {
    "QuantizedMatMul": _quantized_matmul,
    "QuantizedWeightMatMul": _quantized_weight_matmul,
}
