"""The standard's operators by what JAX users call for them; no kernel of our own.

Each function takes the inputs by formal name and the attributes with the standard's defaults, and
returns the outputs by formal name. Shape letters: B batch, T tokens, S keys, H heads, G key/value
heads, K head dim, R rotated pairs, N rows, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters._jax import readable, to_array
from conformance.adapters._jax_operators import (
    activations,
    attention,
    distances,
    linear,
    losses,
    norms,
    phases,
    quantised,
    rotary,
    routing,
    softmax,
)
from conformance.errors import Unsupported
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.adapters._jax import Place
    from conformance.records import OperatorCall

    Arrays = Mapping[str, Any]
    Attributes = Mapping[str, Any]
    Compute = Callable[[Arrays, Attributes], dict[str, Any]]

_FAMILIES = (
    linear,
    quantised,
    norms,
    rotary,
    phases,
    attention,
    softmax,
    activations,
    routing,
    losses,
    distances,
)
_OPERATORS: dict[str, tuple[Compute, dict[str, Any]]] = {
    name: row for family in _FAMILIES for name, row in family.OPERATORS.items()
}
"""The operators that are wired, with their attributes' defaults."""
_INT64 = ("indices",)
"""Outputs that the standard has in int64, a type of JAX's 64-bit mode alone."""


def compute(call: OperatorCall, place: Place) -> dict[str, NDArray[Any]]:
    """Return a call's outputs by formal name, computed as one program.

    Raises:
        Unsupported: there is no such operator here, or JAX has no such type.
    """
    if call.domain not in ("", OWN_DOMAIN) or call.operator not in _OPERATORS:
        raise Unsupported(f"operator {call.domain}::{call.operator} is not wired to JAX")
    function, defaults = _OPERATORS[call.operator]
    for name in call.attributes:
        if name not in defaults:
            raise Unsupported(f"{call.operator}: attribute {name!r} has no counterpart in JAX")
    attributes = {name: _stored(v) for name, v in {**defaults, **call.attributes}.items()}
    inputs = {name: readable(array) for name, array in call.inputs.items()}
    with place.settings():
        outputs = place.program(lambda arrays: function(arrays, attributes))(inputs)
    for name in call.outputs:
        if name not in outputs:
            raise Unsupported(f"{call.operator}: output {name!r} has no counterpart in JAX")
    return {name: _answer(name, outputs[name]) for name in call.outputs}


def _answer(name: str, output: Any) -> NDArray[Any]:
    array = to_array(output)
    return array.astype(np.int64) if name in _INT64 else array


def _stored(value: Any) -> Any:
    """Return a float attribute as ONNX stores it, in float32; others unchanged."""
    if isinstance(value, bytes):
        return value.decode()
    return float(np.float32(value)) if isinstance(value, float) else value
