"""Counterexamples: the smallest failing input of a case, stored as JSON and read back for a replay.

Schema ``counterexample``. Seeds are a fragile way to repeat a failure (generators change between
versions), so the input itself is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import schema
from conformance.errors import FormatError, UsageError
from conformance.formats import tensor
from conformance.records import OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = 12
"""Numbers of an array that a message shows."""
_CHARACTERS = 60
"""Characters of a text that a message shows."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A case with the inputs that it failed on."""

    requirement: str
    case: str
    candidate: str
    inputs: Mapping[str, Any]


def to_document(example: Counterexample) -> dict[str, Any]:
    """Return a counterexample as plain JSON values."""
    return {
        "schema": schema.schema_of("counterexample")["$id"],
        "requirement": example.requirement,
        "case": example.case,
        "candidate": example.candidate,
        "inputs": {name: _encode(value) for name, value in example.inputs.items()},
    }


def load(path: str) -> Counterexample:
    """Read a counterexample.

    Raises:
        UsageError: there is no such file.
        FormatError: it does not follow its schema.
    """
    if not Path(path).is_file():
        raise UsageError(f"counterexample {path!r} does not exist")
    try:
        read = schema.load(Path(path))
        schema.validate("counterexample", read)
        inputs = {name: _decode(value) for name, value in read["inputs"].items()}
    except FormatError as error:
        raise error.in_file(path) from error
    return Counterexample(read["requirement"], read["case"], read["candidate"], inputs)


def summary(inputs: Mapping[str, Any]) -> str:
    """Return the inputs on one line, large arrays by shape and type."""
    return ", ".join(f"{name} {_brief(value)}" for name, value in inputs.items())


def _encode(value: Any) -> Any:
    if isinstance(value, OperatorCall):
        return {
            "operator": value.operator,
            "opset": value.opset,
            "domain": value.domain,
            "inputs": {name: tensor.encode(array) for name, array in value.inputs.items()},
            "attributes": dict(value.attributes),
            "outputs": list(value.outputs),
        }
    if isinstance(value, np.ndarray):
        return tensor.encode(value)
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict) and "operator" in value:
        arrays = {name: tensor.decode(array) for name, array in value["inputs"].items()}
        return OperatorCall(
            operator=value["operator"],
            opset=value["opset"],
            domain=value["domain"],
            inputs=arrays,
            attributes=value["attributes"],
            outputs=tuple(value["outputs"]),
        )
    if isinstance(value, dict):
        return tensor.decode(value)
    return value


def _brief(value: Any) -> str:
    if isinstance(value, OperatorCall):
        inputs = ", ".join(f"{name} {_brief(array)}" for name, array in value.inputs.items())
        return f"{value.operator}-{value.opset}({inputs}; {dict(value.attributes)})"
    if isinstance(value, np.ndarray):
        small = value.size <= _SHOWN
        return str(value.tolist()) if small else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, list) and any(isinstance(one, str) for one in value):
        return f"[{', '.join(map(_brief, value))}]"
    if isinstance(value, str):
        left_out = len(value) - _CHARACTERS
        told = ascii(value[:_CHARACTERS])  # what looks alike or cannot be seen is told apart
        return told if left_out <= 0 else f"{told} and {left_out} more characters"
    return repr(value)
