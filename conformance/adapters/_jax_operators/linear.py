"""Lookups and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def _gather(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    return {"output": numpy().take(inputs["data"], inputs["indices"], axis=attributes["axis"])}


def _gemm(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    a = inputs["A"].T if attributes["transA"] else inputs["A"]
    b = inputs["B"].T if attributes["transB"] else inputs["B"]
    y = attributes["alpha"] * (a @ b)
    return {"Y": y + attributes["beta"] * inputs["C"] if "C" in inputs else y}


def _matmul(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    return {"Y": inputs["A"] @ inputs["B"]}


def _mul(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    return {"C": inputs["A"] * inputs["B"]}


OPERATORS = {
    "Gather": (_gather, {"axis": 0}),
    "Gemm": (_gemm, {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}),
    "MatMul": (_matmul, {}),
    "Mul": (_mul, {}),
}
