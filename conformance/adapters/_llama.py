"""A Llama package as plain numbers and arrays, for adapters that build the decoder themselves.

A reading of its own: neither the oracle's nor the reference model's, against which it is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.errors import Unsupported
from conformance.formats.hf_config import head_dim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.package import ModelPackage

LAYER = {
    "before_attention": "input_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "before_mlp": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
"""The weights of a layer, and what they are called in a checkpoint; products are (out, in)."""


@dataclass(frozen=True, slots=True)
class Llama:
    """What a decoder computes beside its weights."""

    layers: int
    kv_heads: int
    head_dim: int
    epsilon: float
    tied: bool
    phases: Mapping[str, Any]
    """Attributes of the standard's operator RotaryPhases, those that the model sets."""


def read(package: ModelPackage) -> Llama:
    """Return what a package's config.json says, which was checked when it was opened.

    Raises:
        Unsupported: it asks for what is not built here.
    """
    config = package.config
    for key, value in _ONLY.items():
        if config.get(key, value) not in (value, None):
            raise Unsupported(f"{package.name}: {key} is {config[key]!r}; built is {value!r}")
    return Llama(
        layers=config["num_hidden_layers"],
        kv_heads=config["num_key_value_heads"],
        head_dim=head_dim(config),
        epsilon=config["rms_norm_eps"],
        tied=config["tie_word_embeddings"],
        phases={"dim": head_dim(config), **_phases(config)},
    )


_ONLY = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}


def _phases(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read base and scaling, from ``rope_parameters`` (transformers 5) or where they stood before.

    Where both are written they agree: the package was refused otherwise.
    """
    rope = {
        "rope_theta": config.get("rope_theta"),
        **(config.get("rope_scaling") or {}),
        **(config.get("rope_parameters") or {}),
    }
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in _SCALINGS:
        raise Unsupported(f"rope_type is {kind!r}; built are {', '.join(_SCALINGS)}")
    name, keys = _SCALINGS[kind]
    return {"theta": rope["rope_theta"], "scaling": name, **{key: rope[key] for key in keys}}


_SCALINGS = {
    "default": ("none", ()),
    "linear": ("linear", ("factor",)),
    "llama3": (
        "llama3",
        (
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
        ),
    ),
}
"""The scalings of a config, by the standard's name for each and the keys that it takes."""
