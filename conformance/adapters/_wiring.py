"""Which operators a framework's functions are wired to, for adapters of frameworks.

What is the same for all of them stands here: finding the function of a call, completing its
attributes, and refusing what has no counterpart.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import Unsupported
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conformance.records import OperatorCall

    Tensors = Mapping[str, Any]
    Attributes = Mapping[str, Any]
    Compute = Callable[[Tensors, Attributes], dict[str, Any]]
    Rows = Mapping[str, tuple[Compute, Attributes]]


class Wiring:
    """The operators of a framework: by name a function, and its attributes with their defaults.

    Args:
        framework: its name, for refusals.
        package: the package whose modules have such rows in ``OPERATORS``, one module a family.
    """

    def __init__(self, framework: str, package: str) -> None:
        self._framework = framework
        folder = importlib.import_module(package).__path__
        families = pkgutil.iter_modules(folder, f"{package}.")
        self._rows: Rows = {
            name: row
            for family in families
            for name, row in importlib.import_module(family.name).OPERATORS.items()
        }

    @property
    def names(self) -> frozenset[str]:
        """The operators that are wired."""
        return frozenset(self._rows)

    def find(self, call: OperatorCall, instead: Rows | None = None) -> tuple[Compute, Attributes]:
        """Return the function of a call, and all its attributes.

        Args:
            call: the call.
            instead: rows that take the place of others.

        Raises:
            Unsupported: there is no such operator here, or no such attribute.
        """
        if call.domain not in ("", OWN_DOMAIN) or call.operator not in self._rows:
            told = f"operator {call.domain}::{call.operator}"
            raise Unsupported(f"{told} is not wired to {self._framework}")
        function, defaults = {**self._rows, **(instead or {})}[call.operator]
        for name in call.attributes:
            if name not in defaults:
                raise self._without(call, f"attribute {name!r}")
        return function, {name: _stored(v) for name, v in {**defaults, **call.attributes}.items()}

    def chosen(self, call: OperatorCall, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return of a function's outputs those that a call asks for.

        Raises:
            Unsupported: the function does not answer one of them.
        """
        for name in call.outputs:
            if name not in outputs:
                raise self._without(call, f"output {name!r}")
        return {name: outputs[name] for name in call.outputs}

    def _without(self, call: OperatorCall, what: str) -> Unsupported:
        return Unsupported(f"{call.operator}: {what} has no counterpart in {self._framework}")


def _stored(value: Any) -> Any:
    """Return a float attribute as ONNX stores it, in float32; others unchanged."""
    if isinstance(value, bytes):
        return value.decode()
    return float(np.float32(value)) if isinstance(value, float) else value
