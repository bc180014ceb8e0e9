"""Mixtral's own keys, and the two forms of its checkpoints. Nothing here imports torch.

Transformers 4 writes each expert's three matrices, w1 the gate, w3 the other factor and w2 the way
back; transformers 5 holds all experts of a layer in two tensors, gate and factor one below the
other, and reads both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_model import json_values
from reference_model.config import Experts
from reference_model.forms import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reference_model.config import ModelConfig
    from reference_model.forms import Form

_APART = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}


def read_experts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read how many experts there are, and how many a token has (Jiang et al. 2024, section 2.1).

    Shares are those of the softmax over all, divided by their sum: no key says otherwise.
    """
    count = json_values.integer(document, "num_local_experts")
    return {"experts": Experts(count, json_values.integer(document, "num_experts_per_tok"))}


def write_experts(config: ModelConfig) -> dict[str, Any]:
    """Return those keys of a mixture."""
    experts = config.mlp.experts
    assert experts is not None
    return {"num_local_experts": experts.count, "num_experts_per_tok": experts.chosen}


def form(config: ModelConfig, names: Iterable[str] | None = None) -> Form:
    """Return where a Mixtral's checkpoint has each tensor.

    Args:
        config: the decoder, a mixture.
        names: the checkpoint's tensors, which tell its form; without, it is that of transformers 4.
    """
    stacked = names is not None and any(name.endswith("experts.gate_up_proj") for name in names)
    experts = config.mlp.experts
    assert experts is not None
    found: Form = {}
    for layer in range(config.layers):
        ours = f"model.layers.{layer}.mlp"
        theirs = ours if stacked else f"model.layers.{layer}.block_sparse_moe"
        found[f"{ours}.gate.weight"] = Place(f"{theirs}.gate.weight")
        for e in range(experts.count):
            places = stacked_places(theirs, e, config.mlp.hidden) if stacked else _apart(theirs, e)
            found |= {f"{ours}.experts.{e}.{name}.weight": at for name, at in places.items()}
    return found


def _apart(theirs: str, e: int) -> Form:
    return {ours: Place(f"{theirs}.experts.{e}.{name}.weight") for ours, name in _APART.items()}


def stacked_places(theirs: str, e: int, hidden: int) -> Form:
    """Return where one expert's matrices stand where a layer's are stacked, gates above."""
    both = f"{theirs}.experts.gate_up_proj"
    return {
        "gate_proj": Place(both, expert=e),
        "up_proj": Place(both, first=hidden, expert=e),
        "down_proj": Place(f"{theirs}.experts.down_proj", expert=e),
    }
