"""Checkpoints as the oracle reads them: its weights are views of what the files hold.

Most families write the oracle's own names. Where a family fuses, transposes or renames, each weight
is a tensor of the checkpoint and a function that returns a view of the part that is meant: nothing
is copied, and what is written into a view stands in the whole. BLOOM's heads alternate, so that its
parts are copies, and are written back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles import bloom, gpt2, mixture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

Part = tuple[str, Callable[["Array"], "Array"]]
"""A tensor of the checkpoint, and what of it is meant."""


class _Views(Mapping[str, "Array"]):
    """Weights by the oracle's names, taken from a checkpoint one by one."""

    def __init__(self, stored: Mapping[str, Array], parts: Mapping[str, Part]) -> None:
        self._stored, self._parts = stored, parts

    def __getitem__(self, name: str) -> Array:
        if name not in self._parts:
            return self._stored[name]
        source, part = self._parts[name]
        return part(self._stored[source])

    def __contains__(self, name: object) -> bool:
        return name in self._parts or name in self._stored  # without reading it

    def __iter__(self) -> Iterator[str]:
        sources = {source for source, _ in self._parts.values()}
        yield from self._parts
        yield from (name for name in self._stored if name not in sources)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _parts(config: Mapping[str, Any], stored: Mapping[str, Array]) -> dict[str, Part]:
    """Return where the weights stand that are not stored under their names."""
    known = {
        "gpt2": gpt2.parts,
        "bloom": bloom.parts,
        "gpt_oss": mixture.gpt_oss_parts,
        "mixtral": mixture.parts,
        "qwen2_moe": mixture.qwen2_moe_parts,
        "phi3": _joined,
        "glm4": _glm4,
    }
    read = known.get(config["model_type"])
    return {} if read is None else read(config, stored)


def _joined(config: Mapping[str, Any], _: Mapping[str, Array]) -> dict[str, Part]:
    """Return the rows of Phi-3's joined projections: queries, keys, values; gate, up."""
    dim, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    size, hidden = int(config.get("head_dim") or dim // heads), int(config["intermediate_size"])
    keys = int(config.get("num_key_value_heads") or heads) * size
    attention = {"q": heads * size, "k": keys, "v": keys}
    found: dict[str, Part] = {}
    for i in range(int(config["num_hidden_layers"])):
        for whole, rows in (
            ("self_attn.qkv_proj", attention),
            ("mlp.gate_up_proj", {"gate": hidden, "up": hidden}),
        ):
            first = 0
            for name, count in rows.items():
                part = f"{whole.split('.')[0]}.{name}_proj.weight"
                source = f"model.layers.{i}.{whole}.weight"
                found[f"model.layers.{i}.{part}"] = source, itemgetter(slice(first, first + count))
                first += count
    return found


def _glm4(config: Mapping[str, Any], _: Mapping[str, Array]) -> dict[str, Part]:
    """Return GLM-4's joined gate and up, and its norms, of which one has another's usual name."""
    hidden = int(config["intermediate_size"])
    found: dict[str, Part] = {}
    for i in range(int(config["num_hidden_layers"])):
        layer = f"model.layers.{i}."
        for name, rows in (("gate", slice(hidden)), ("up", slice(hidden, None))):
            source = f"{layer}mlp.gate_up_proj.weight"
            found[f"{layer}mlp.{name}_proj.weight"] = source, itemgetter(rows)
        for ours, theirs in (
            ("post_attention", "post_self_attn"),
            ("pre_feedforward", "post_attention"),
            ("post_feedforward", "post_mlp"),
        ):
            source = f"{layer}{theirs}_layernorm.weight"
            found[f"{layer}{ours}_layernorm.weight"] = source, itemgetter(...)
    return found


def weights_of(config: Mapping[str, Any], stored: Mapping[str, Array]) -> Mapping[str, Array]:
    """Return the oracle's weights of a checkpoint, by the names of ``decoder.weight_shapes``."""
    parts = _parts(config, stored)
    return _Views(stored, parts) if parts else stored


def stored_as(
    config: Mapping[str, Any], stored: Mapping[str, Array], weights: Mapping[str, Array]
) -> dict[str, Array]:
    """Return a checkpoint of the same form as ``stored`` with other weights in it."""
    parts = _parts(config, stored)
    if not parts:
        return dict(weights)
    written = {name: np.array(array) for name, array in stored.items()}
    for name, array in weights.items():
        if name in parts:
            source, part = parts[name]
            if isinstance(part, bloom.Rows):
                part.put(written[source], array)
            else:
                part(written[source])[...] = array
        else:
            written[name] = array
    return written
