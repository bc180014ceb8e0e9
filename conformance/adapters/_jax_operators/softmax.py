"""Softmax and log-softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import nn

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def _softmax(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    return {"output": nn().softmax(inputs["input"], axis=attributes["axis"])}


def _log_softmax(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    return {"output": nn().log_softmax(inputs["input"], axis=attributes["axis"])}


OPERATORS = {
    "LogSoftmax": (_log_softmax, {"axis": -1}),
    "Softmax": (_softmax, {"axis": -1}),
}
