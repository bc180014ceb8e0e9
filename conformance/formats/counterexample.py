"""Counterexamples: the tensors among their inputs have to be whole."""

from __future__ import annotations

from typing import Any

from conformance import schema
from conformance.errors import FormatError
from conformance.formats import tensor


def check(document: Any) -> None:
    """Check a counterexample: layers L2 and L3.

    Raises:
        FormatError: the document, or a tensor in it, is refused.
    """
    schema.validate("counterexample", document)
    for name, value in document["inputs"].items():
        if isinstance(value, dict) and "operator" in value:
            for formal, one in value["inputs"].items():
                _check_tensor(one, ("inputs", name, "inputs", formal))
        elif isinstance(value, dict):
            _check_tensor(value, ("inputs", name))


def _check_tensor(document: Any, path: tuple[str, ...]) -> None:
    try:
        tensor.check(document)
    except FormatError as error:
        place = schema.pointer(path) + error.pointer
        raise FormatError(error.code, error.detail, place) from None
