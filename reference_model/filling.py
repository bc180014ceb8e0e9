"""How a torch module gets its weights: it is made without numbers, and given arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


def filled(make: Callable[[], Any], weights: Mapping[str, NDArray[Any]], dtype: torch.dtype) -> Any:
    """Return the module that ``make`` makes, with these weights, each rounded once to ``dtype``.

    Raises:
        RuntimeError: a tensor is missing, superfluous or of another shape.
    """
    with torch.device("meta"):  # torch would draw random weights, to be replaced at once
        module = make()
    state = {name: to_torch(array).to(dtype) for name, array in weights.items()}
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def to_torch(array: NDArray[Any]) -> torch.Tensor:
    """Return a copy of an array as a tensor of the same type; NumPy has no bfloat16 of its own."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.uint16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())
