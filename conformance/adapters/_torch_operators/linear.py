"""Lookups and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _gather(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    data, indices = inputs["data"], inputs["indices"].long()
    if attributes["axis"] != 0 or data.ndim != 2:
        raise Unsupported("Gather: torch's embedding copies the rows of a matrix")
    return {"output": functional().embedding(indices, data)}


def _gemm(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    a = inputs["A"].T if attributes["transA"] else inputs["A"]
    b = inputs["B"].T if attributes["transB"] else inputs["B"]
    alpha, beta = attributes["alpha"], attributes["beta"]
    if "C" not in inputs:
        return {"Y": alpha * (a @ b)}
    return {"Y": torch.addmm(inputs["C"], a, b, beta=beta, alpha=alpha)}


def _matmul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": inputs["A"] @ inputs["B"]}


def _mul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"C": inputs["A"] * inputs["B"]}


OPERATORS = {
    "Gather": (_gather, {"axis": 0}),
    "Gemm": (_gemm, {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}),
    "MatMul": (_matmul, {}),
    "Mul": (_mul, {}),
}
