"""The standard's operators by what JAX users call for them; no kernel of our own.

Each function takes the inputs by formal name and the attributes with the standard's defaults, and
returns the outputs by formal name. Shape letters: B batch, T tokens, S keys, H heads, G key/value
heads, K head dim, R rotated pairs, N rows, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters._jax import readable, to_array
from conformance.adapters._wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.adapters._jax import Place
    from conformance.records import OperatorCall

    Arrays = Mapping[str, Any]
    Attributes = Mapping[str, Any]
    Compute = Callable[[Arrays, Attributes], dict[str, Any]]

_WIRING = Wiring("JAX", __name__)
"""The operators that are wired, with their attributes' defaults."""
_INT64 = ("indices",)
"""Outputs that the standard has in int64, a type of JAX's 64-bit mode alone."""


def compute(call: OperatorCall, place: Place) -> dict[str, NDArray[Any]]:
    """Return a call's outputs by formal name, computed as one program.

    Raises:
        Unsupported: there is no such operator here, or JAX has no such type.
    """
    function, attributes = _WIRING.find(call)
    inputs = {name: readable(array) for name, array in call.inputs.items()}
    with place.settings():
        outputs = place.program(lambda arrays: function(arrays, attributes))(inputs)
    return {name: _answer(name, output) for name, output in _WIRING.chosen(call, outputs).items()}


def _answer(name: str, output: Any) -> NDArray[Any]:
    array = to_array(output)
    return array.astype(np.int64) if name in _INT64 else array
