"""The standard's operators by what PyTorch users call for them; no kernel of our own.

Each function takes the inputs by formal name and the attributes with the standard's defaults, and
returns the outputs by formal name. Shape letters: B batch, T tokens, S keys, H heads, G key/value
heads, K head dim, R rotated pairs, N rows, C classes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from conformance.adapters import _torch
from conformance.adapters._torch import to_array, to_tensor
from conformance.adapters._torch_operators import attention
from conformance.adapters._wiring import Wiring
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.records import OperatorCall

    Tensors = Mapping[str, Any]
    Attributes = Mapping[str, Any]
    Compute = Callable[[Tensors, Attributes], dict[str, Any]]

_WIRING = Wiring("torch", __name__)
"""The operators that are wired, with their attributes' defaults."""


def compute(
    call: OperatorCall, where: Any, *, eager_attention: bool = False, compiled: bool = False
) -> dict[str, NDArray[Any]]:
    """Return a call's outputs by formal name, computed on the device ``where``.

    Args:
        call: the call.
        where: a device of torch's.
        eager_attention: whether attention is composed of plain functions.
        compiled: whether torch's compiler makes one program of each operator.

    Raises:
        Unsupported: there is no such operator here, or torch has no kernel for the call.
    """
    function, attributes = _WIRING.find(call, attention.EAGER if eager_attention else None)
    inputs = {name: to_tensor(array, where) for name, array in call.inputs.items()}
    try:
        outputs = (_compiled(function) if compiled else function)(inputs, attributes)
    except NotImplementedError as error:
        raise Unsupported(f"{call.operator}: torch has no kernel: {error}") from error
    return {name: to_array(output) for name, output in _WIRING.chosen(call, outputs).items()}


@functools.cache
def _compiled(function: Compute) -> Compute:
    """Return a function compiled for free sizes, its attributes constants."""
    return _torch.compiled(function, specialize_float=True, specialize_int=True)
