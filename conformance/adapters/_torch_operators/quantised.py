"""Products of quantised operands: torch decodes them by plain arithmetic, as loaders of models do.

M, K and N are the sizes of a product (M, K) @ (K, N).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.errors import Unsupported

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _matmul_integer(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    if inputs["A"].is_cuda:
        raise Unsupported("MatMulInteger: torch multiplies no integer matrices on CUDA")
    a, b = inputs["A"].int(), inputs["B"].int()
    if "a_zero_point" in inputs:
        rows = inputs["a_zero_point"].int()
        a = a - (rows[:, None] if rows.ndim == 1 else rows)
    if "b_zero_point" in inputs:
        b = b - inputs["b_zero_point"].int()
    return {"Y": a @ b}


def _decoded(inputs: Tensors, operand: str, axis: int = -1, block: int = 0) -> Any:
    """Return (code - zero point) * scale of one operand, in the type of the scale."""
    codes, scale = inputs[operand], inputs[f"{operand.lower()}_scale"]
    zero = inputs.get(f"{operand.lower()}_zero_point")
    numbers = codes.to(scale.dtype)
    if zero is not None:
        numbers = numbers - _spread(zero.to(scale.dtype), codes, axis, block)
    return numbers * _spread(scale, codes, axis, block)


def _spread(parameter: Any, codes: Any, axis: int, block: int) -> Any:
    if block and parameter.ndim == codes.ndim:
        return parameter.repeat_interleave(block, dim=axis)[: codes.shape[axis]]
    return parameter[:, None] if parameter.ndim == 1 and axis == -2 else parameter


def _quantized_matmul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": _decoded(inputs, "A", axis=-2) @ _decoded(inputs, "B")}


def _quantized_weight_matmul(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    block = attributes["block_size"]
    return {"Y": inputs["A"] @ _decoded(inputs, "B", 0 if block else -1, block)}


OPERATORS = {
    "MatMulInteger": (_matmul_integer, {}),
    "QuantizedMatMul": (_quantized_matmul, {}),
    "QuantizedWeightMatMul": (_quantized_weight_matmul, {"block_size": 0, "code_type": 0}),
}
