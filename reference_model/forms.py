"""Checkpoints that hold a decoder's tensors in another form: fused, transposed, under other names.

A form says of each canonical tensor (``layout``) where it stands. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from reference_model.config import ModelConfig

    Tensors = Mapping[str, NDArray[Any]]
    Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a canonical tensor stands in a checkpoint."""

    source: str
    """The checkpoint's tensor."""
    first: int = 0
    """Its first row there, as (out, in); it takes every ``step``-th from there on."""
    step: int = 1
    block: int = 1
    """How many rows are one, as ``first`` and ``step`` count: a head's, where heads alternate."""
    transposed: bool = False
    """Whether the checkpoint has (in, out)."""
    expert: int | None = None
    """Which of the matrices that are stacked in the source."""


Form = dict[str, Place]
"""The places of tensors by their canonical names; a tensor without one is what it is called."""


def fused_form(config: ModelConfig) -> Form:
    """Return Phi-3's form: queries before keys before values, and the gate before what it gates."""
    attention = config.attention
    queries, keys = (n * attention.head_dim for n in (attention.heads, attention.kv_heads))
    rows = {
        "self_attn.qkv_proj": {"q_proj": 0, "k_proj": queries, "v_proj": queries + keys},
        "mlp.gate_up_proj": {"gate_proj": 0, "up_proj": config.mlp.hidden},
    }
    return {
        f"model.layers.{layer}.{source.split('.')[0]}.{part}.weight": Place(
            f"model.layers.{layer}.{source}.weight", first
        )
        for layer in range(config.layers)
        for source, parts in rows.items()
        for part, first in parts.items()
    }


def gathered(found: Tensors, form: Form, shapes: Shapes) -> dict[str, NDArray[Any]]:
    """Return the canonical tensors of a checkpoint, in the order of ``shapes``."""
    return {name: _read(found, form.get(name, Place(name)), shapes[name]) for name in shapes}


def _read(found: Tensors, place: Place, shape: tuple[int, ...]) -> NDArray[Any]:
    whole = found[place.source] if place.expert is None else found[place.source][place.expert]
    return np.ascontiguousarray(_rows(whole, place, shape[0])).reshape(shape)


def _rows(whole: NDArray[Any], place: Place, count: int) -> NDArray[Any]:
    """Return a view of the ``count`` rows that are meant, (count / block, block, ...)."""
    rows = whole.T if place.transposed else whole
    blocks = rows.reshape(-1, place.block, *rows.shape[1:])  # an axis is split, nothing copied
    return blocks[place.first :: place.step][: count // place.block]


def scattered(weights: Tensors, form: Form) -> dict[str, NDArray[Any]]:
    """Return the tensors of a checkpoint from the canonical ones; the inverse of ``gathered``."""
    shapes = written_shapes({name: tensor.shape for name, tensor in weights.items()}, form)
    written = {
        source: np.empty(shape, next(iter(weights.values())).dtype)
        for source, shape in shapes.items()
    }
    for name, tensor in weights.items():
        place = form.get(name, Place(name))
        whole = written[place.source]
        whole = whole if place.expert is None else whole[place.expert]
        rows = _rows(whole, place, len(tensor))
        rows[...] = tensor.reshape(rows.shape)
    return written


def written_shapes(shapes: Shapes, form: Form) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a checkpoint by name, from those of the canonical."""
    rows: dict[str, int] = {}
    experts: dict[str, int] = {}
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        place = form.get(name, Place(name))
        last = place.first + place.step * (shape[0] // place.block - 1)
        rows[place.source] = max(rows.get(place.source, 0), place.block * (last + 1))
        whole: tuple[int, ...] = (rows[place.source], *shape[1:])
        if place.transposed:
            whole = whole[::-1]
        if place.expert is not None:
            count = max(experts.get(place.source, 0), place.expert + 1)
            experts[place.source] = count
            whole = (count, *whole)
        found[place.source] = whole
    return found
