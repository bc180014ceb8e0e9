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


def _matmul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": inputs["A"] @ inputs["B"]}


def _mul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"C": inputs["A"] * inputs["B"]}


OPERATORS = {
    "Gather": (_gather, {"axis": 0}),
    "MatMul": (_matmul, {}),
    "Mul": (_mul, {}),
}
