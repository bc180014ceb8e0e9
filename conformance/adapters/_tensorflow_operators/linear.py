"""Lookups and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _gather(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"output": tf().gather(inputs["data"], inputs["indices"], axis=attributes["axis"])}


def _gemm(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    product = tf().linalg.matmul(
        inputs["A"],
        inputs["B"],
        transpose_a=bool(attributes["transA"]),
        transpose_b=bool(attributes["transB"]),
    )
    y = attributes["alpha"] * product
    return {"Y": y + attributes["beta"] * inputs["C"] if "C" in inputs else y}


def _matmul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    a, b = inputs["A"], inputs["B"]
    row, column = a.shape.rank == 1, b.shape.rank == 1
    y = tf().linalg.matmul(a[None] if row else a, b[:, None] if column else b)
    y = y[..., 0] if column else y
    return {"Y": tf().squeeze(y, -1 if column else -2) if row else y}


def _mul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"C": inputs["A"] * inputs["B"]}


OPERATORS = {
    "Gather": (_gather, {"axis": 0}),
    "Gemm": (_gemm, {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}),
    "MatMul": (_matmul, {}),
    "Mul": (_mul, {}),
}
