"""Products of quantised operands: JAX multiplies integers, and decodes by plain arithmetic.

M, K and N are the sizes of a product (M, K) @ (K, N).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def _matmul_integer(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    jnp = numpy()
    a, b = (inputs[name].astype(jnp.int32) for name in "AB")
    if "a_zero_point" in inputs:
        rows = inputs["a_zero_point"].astype(jnp.int32)
        a = a - (rows[:, None] if rows.ndim == 1 else rows)
    if "b_zero_point" in inputs:
        b = b - inputs["b_zero_point"].astype(jnp.int32)
    return {"Y": a @ b}


def _decoded(inputs: Arrays, operand: str, axis: int = -1, block: int = 0) -> Any:
    """Return (code - zero point) * scale of one operand, in the type of the scale."""
    codes, scale = inputs[operand], inputs[f"{operand.lower()}_scale"]
    zero = inputs.get(f"{operand.lower()}_zero_point")
    numbers = codes.astype(scale.dtype)
    if zero is not None:
        numbers = numbers - _spread(zero.astype(scale.dtype), codes, axis, block)
    return numbers * _spread(scale, codes, axis, block)


def _spread(parameter: Any, codes: Any, axis: int, block: int) -> Any:
    if block and parameter.ndim == codes.ndim:
        repeated = numpy().repeat(parameter, block, axis=axis)
        return repeated[: codes.shape[axis]]  # blocks lie along the rows
    return parameter[:, None] if parameter.ndim == 1 and axis == -2 else parameter


def _quantized_matmul(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    return {"Y": _decoded(inputs, "A", axis=-2) @ _decoded(inputs, "B")}


def _quantized_weight_matmul(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    block = attributes["block_size"]
    return {"Y": inputs["A"] @ _decoded(inputs, "B", 0 if block else -1, block)}


OPERATORS = {
    "MatMulInteger": (_matmul_integer, {}),
    "QuantizedMatMul": (_quantized_matmul, {}),
    "QuantizedWeightMatMul": (_quantized_weight_matmul, {"block_size": 0, "code_type": 0}),
}
