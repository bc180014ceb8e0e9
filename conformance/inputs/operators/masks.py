"""Masks of attention: what they hide, and in which shape.

Settings of a case, beside those of :mod:`conformance.inputs.operators.attention`:

* ``mask``: ``boolean``, or ``additive`` with minus infinity where a key is hidden and, where
  ``graded``, other numbers elsewhere;
* ``shape``: the axes that the mask has in full, of B, H, T and S; ``1`` for one that is broadcast;
* ``hides``: ``some`` keys of each query and never all; the same ``keys`` of all queries; the
  ``padding`` at the left of each row; or all keys of some queries, which are then ``blind``;
* ``padding``: how many keys that is; one at least is left over;
* ``unnamed``: how many of the last keys a mask is too short for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.inputs.operators.numbers import Numbers

    Array = NDArray[Any]
    Settings = Mapping[str, Any]


def with_mask(
    inputs: Mapping[str, Array], numbers: Numbers, settings: Settings, keys: int
) -> dict[str, Array]:
    """Return a call's inputs with a mask for ``keys`` keys, past ones included."""
    batch, heads, queries = inputs["Q"].shape[:3]
    sizes = {"B": batch, "H": heads, "T": queries, "S": keys, "1": 1}
    shape = tuple(sizes[axis] for axis in settings.get("shape", "TS"))
    kept = _kept(numbers, shape, settings)
    kept = kept[..., : kept.shape[-1] - settings.get("unnamed", 0)]
    if settings["mask"] == "boolean":
        return {**inputs, "attn_mask": kept}
    grades = numbers.normal(*kept.shape) if settings.get("graded", True) else np.zeros(kept.shape)
    added = np.where(kept, grades, -np.inf).astype(inputs["Q"].dtype)
    return {**inputs, "attn_mask": added}


def _kept(numbers: Numbers, shape: tuple[int, ...], settings: Settings) -> Array:
    """Return which keys are not hidden."""
    hides = settings.get("hides", "some")
    if hides == "keys":
        kept = _hidden_alike(numbers, shape)
    elif hides == "padding":
        first = np.arange(shape[-1]) < min(settings["padding"], shape[-1] - 1)
        kept = np.broadcast_to(~first, shape).copy()
        kept[0] |= len(shape) == 4  # of a batch, the first row is not padded
    else:
        kept = numbers.mask(*shape)
    if settings.get("is_causal") and hides == "some":
        kept[..., 0] = True  # or the first queries would see nothing
    if hides == "blind":
        kept[..., 1::3, :] = False
    return kept


def _hidden_alike(numbers: Numbers, shape: tuple[int, ...]) -> Array:
    """Return a mask that hides the same keys from every query, the last at least."""
    kept = numbers.mask(*shape[:-2], 1, shape[-1])
    kept[..., -1], kept[..., 0] = False, True
    return np.repeat(kept, shape[-2], axis=-2)
