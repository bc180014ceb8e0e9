"""Products of quantised operands, decoded by plain arithmetic, as loaders of models do.

M, K and N are the sizes of a product (M, K) @ (K, N).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _matmul_integer(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    a, b = (tf().cast(inputs[name], tf().int32) for name in "AB")
    if "a_zero_point" in inputs:
        rows = tf().cast(inputs["a_zero_point"], tf().int32)
        a = a - (rows[:, None] if rows.shape.rank == 1 else rows)
    if "b_zero_point" in inputs:
        b = b - tf().cast(inputs["b_zero_point"], tf().int32)
    return {"Y": tf().linalg.matmul(a, b)}


def _decoded(inputs: Tensors, operand: str, axis: int = -1, block: int = 0) -> Any:
    """Return (code - zero point) * scale of one operand, in the type of the scale."""
    codes, scale = inputs[operand], inputs[f"{operand.lower()}_scale"]
    zero = inputs.get(f"{operand.lower()}_zero_point")
    numbers = tf().cast(codes, scale.dtype)
    if zero is not None:
        numbers = numbers - _spread(tf().cast(zero, scale.dtype), codes, axis, block)
    return numbers * _spread(scale, codes, axis, block)


def _spread(parameter: Any, codes: Any, axis: int, block: int) -> Any:
    rank = parameter.shape.rank
    if block and rank == codes.shape.rank:
        return tf().repeat(parameter, block, axis=axis)[: tf().shape(codes)[axis]]
    return parameter[:, None] if rank == 1 and axis == -2 else parameter


def _quantized_matmul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": tf().linalg.matmul(_decoded(inputs, "A", axis=-2), _decoded(inputs, "B"))}


def _quantized_weight_matmul(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    block = attributes["block_size"]
    return {"Y": tf().linalg.matmul(inputs["A"], _decoded(inputs, "B", 0 if block else -1, block))}


OPERATORS = {
    "MatMulInteger": (_matmul_integer, {}),
    "QuantizedMatMul": (_quantized_matmul, {}),
    "QuantizedWeightMatMul": (_quantized_weight_matmul, {"block_size": 0, "code_type": 0}),
}
