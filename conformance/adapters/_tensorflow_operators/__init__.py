"""The standard's operators by what TensorFlow users call for them; no kernel of our own.

Each function takes the inputs by formal name and the attributes with the standard's defaults, and
returns the outputs by formal name. It is written for tensors whose sizes are not known when it is
traced. Shape letters: B batch, T tokens, S keys, H heads, G key/value heads, K head dim, R rotated
pairs, N rows, C classes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import free, in_mode, tf, to_array, to_tensor
from conformance.adapters._wiring import Wiring
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.records import OperatorCall

    Tensors = Mapping[str, Any]
    Attributes = Mapping[str, Any]
    Compute = Callable[[Tensors, Attributes], dict[str, Any]]

WIRING = Wiring("TensorFlow", __name__)
"""The operators that are wired, with their attributes' defaults."""
_KEPT = 64
"""How many traced functions are kept; XLA's programs go with them."""


class Operators:
    """The operators in one mode. A function is traced once for all sizes of its inputs.

    Args:
        mode: how TensorFlow runs them.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._traced: dict[str, Any] = {}

    def compute(self, call: OperatorCall) -> dict[str, NDArray[Any]]:
        """Return a call's outputs by formal name, computed on the device of the context.

        Raises:
            Unsupported: there is no such operator here, or TensorFlow has no kernel for the call.
        """
        function, attributes = WIRING.find(call)
        inputs = {name: to_tensor(array) for name, array in call.inputs.items()}
        errors = tf().errors
        try:
            outputs = self._run(call.operator, function, attributes, inputs)
        except (errors.UnimplementedError, errors.NotFoundError) as error:
            raise Unsupported(f"{call.operator}: TensorFlow has no kernel: {error}") from error
        return {name: to_array(output) for name, output in WIRING.chosen(call, outputs).items()}

    def _run(
        self, operator: str, function: Compute, attributes: Attributes, inputs: Tensors
    ) -> dict[str, Any]:
        given = {name: free(x.dtype, *[None] * x.shape.rank) for name, x in inputs.items()}
        key = repr((operator, attributes, given))
        if key not in self._traced:
            if len(self._traced) >= _KEPT:
                self._traced.pop(next(iter(self._traced)))
            bound = partial(_with_attributes, function, attributes)
            self._traced[key] = in_mode(self._mode, bound, (given,))
        outputs: dict[str, Any] = self._traced[key](inputs)
        return outputs


def _with_attributes(function: Compute, attributes: Attributes, inputs: Tensors) -> dict[str, Any]:
    return function(inputs, attributes)
