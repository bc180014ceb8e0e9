"""Softmax and log-softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _softmax(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"output": tf().nn.softmax(inputs["input"], attributes["axis"])}


def _log_softmax(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"output": tf().nn.log_softmax(inputs["input"], attributes["axis"])}


OPERATORS = {
    "LogSoftmax": (_log_softmax, {"axis": -1}),
    "Softmax": (_softmax, {"axis": -1}),
}
