"""A package of Llama's family as numbers and arrays, for adapters that build the decoder.

A reading of its own: neither the oracle's nor the reference model's, against which it is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.errors import Unsupported
from conformance.formats.hf_config import head_dim, is_tied, window_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.package import ModelPackage

LAYER = {
    "before_attention": "input_layernorm.weight",
    "q": "self_attn.q_proj.weight",
    "k": "self_attn.k_proj.weight",
    "v": "self_attn.v_proj.weight",
    "q_bias": "self_attn.q_proj.bias",
    "k_bias": "self_attn.k_proj.bias",
    "v_bias": "self_attn.v_proj.bias",
    "q_norm": "self_attn.q_norm.weight",
    "k_norm": "self_attn.k_norm.weight",
    "o": "self_attn.o_proj.weight",
    "before_mlp": "post_attention_layernorm.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
}
"""The weights of a layer, those that not every family has among them, and what they are called in a
checkpoint; products are (out, in)."""
ALL_KEYS = 1 << 30
"""The window of a layer that has none: more keys than there are."""


@dataclass(frozen=True, slots=True)
class Llama:
    """What a decoder computes beside its weights."""

    layers: int
    kv_heads: int
    head_dim: int
    epsilon: float
    tied: bool
    windows: tuple[int, ...]
    """By layer: how many keys a query sees, itself among them."""
    phases: Mapping[str, Any]
    """Attributes of the standard's operator RotaryPhases, those that the model sets."""


def read(package: ModelPackage) -> Llama:
    """Return what a package's config.json says, which was checked when it was opened.

    Raises:
        Unsupported: it asks for what is not built here.
    """
    config = package.config
    for key, value in _built(config["model_type"]).items():
        if config.get(key, value) not in (value, None):
            raise Unsupported(f"{package.name}: {key} is {config[key]!r}; built is {value!r}")
    layers = config["num_hidden_layers"]
    return Llama(
        layers=layers,
        kv_heads=config["num_key_value_heads"],
        head_dim=head_dim(config),
        epsilon=config["rms_norm_eps"],
        tied=is_tied(config),
        windows=tuple(window_of(config, i) or ALL_KEYS for i in range(layers)),
        phases={"dim": head_dim(config), **_phases(config)},
    )


def _built(model_type: str) -> dict[str, Any]:
    """Return the values of keys that are built here; a family that is not listed is not."""
    if model_type not in _BIASES:
        raise Unsupported(f"model_type is {model_type!r}; built are {', '.join(_BIASES)}")
    biases = {"attention_bias": _BIASES[model_type], "mlp_bias": False}
    return {"hidden_act": "silu", **biases}


_BIASES = {"llama": False, "mistral": False, "qwen2": True, "qwen3": False}
"""Whether a family's queries, keys and values have biases: by its name, and the key repeats it."""


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
    options = {key: rope[key] for key in _OPTIONS.get(kind, ()) if rope.get(key) is not None}
    numbers = {**{key: rope[key] for key in keys}, **options}
    return {"theta": rope["rope_theta"], "scaling": name, **numbers}


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
    "yarn": ("yarn", ("factor", "original_max_position_embeddings")),
}
"""The scalings of a config, by the standard's name for each and the keys that it takes."""
_OPTIONS = {
    "yarn": ("beta_fast", "beta_slow", "truncate", "attention_factor", "mscale", "mscale_all_dim")
}
"""The keys that a scaling may lack: the standard's operator has the same defaults."""
