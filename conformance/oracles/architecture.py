"""What the oracle's decoder has to know of a model, read from a Hugging Face Llama ``config.json``.

A reader of its own, independent of the reference model's. Unknown keys and contradictions are
found elsewhere, when a package is opened; here everything that would change the function is either
understood or refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.errors import PackageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding: base, and how its frequencies are scaled."""

    theta: float
    kind: str = "default"
    """``default``, ``linear`` or ``llama3``."""
    factor: float = 1.0
    low: float = 1.0
    """Turns within ``original_positions`` below which a pair is slowed by ``factor`` (llama3)."""
    high: float = 4.0
    """Turns above which it is not."""
    original_positions: int = 0


@dataclass(frozen=True, slots=True)
class Architecture:
    """A Llama decoder."""

    vocab: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    epsilon: float
    tied: bool
    rope: Rope
    max_positions: int

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Architecture:
        """Read a Hugging Face Llama configuration, as transformers 4 or 5 writes it.

        Raises:
            PackageError: a key is missing, or asks for something that the oracle does not compute.
        """
        _refuse(config)
        heads, dim = int(_need(config, "num_attention_heads")), int(_need(config, "hidden_size"))
        kv_heads = _or_default(config, "num_key_value_heads", heads)
        if heads % kv_heads:
            raise PackageError(
                f"{heads} num_attention_heads are not a multiple of {kv_heads} num_key_value_heads"
            )
        return Architecture(
            vocab=int(_need(config, "vocab_size")),
            dim=dim,
            layers=int(_need(config, "num_hidden_layers")),
            heads=heads,
            kv_heads=kv_heads,
            head_dim=_or_default(config, "head_dim", dim // heads),
            hidden=int(_need(config, "intermediate_size")),
            epsilon=float(_need(config, "rms_norm_eps")),
            tied=bool(config.get("tie_word_embeddings", False)),
            rope=_rope(config),
            max_positions=int(_need(config, "max_position_embeddings")),
        )


_ONLY: Mapping[str, tuple[Any, ...]] = {
    "model_type": ("llama",),
    "hidden_act": ("silu",),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
}
"""The values that the oracle computes; an absent key means the last, but a model has a type."""


def _refuse(config: Mapping[str, Any]) -> None:
    for key, values in _ONLY.items():
        value = config.get(key, values[-1])
        if key == "model_type":
            value = _need(config, key)
        if value not in values:
            raise PackageError(f"{key} is {value!r}; the oracle computes only {values[0]!r}")


def _need(config: Mapping[str, Any], key: str, place: str = "") -> Any:
    if config.get(key) is None:
        raise PackageError(f"{place}{key} is missing.{did_you_mean(key, config)}")
    return config[key]


def _or_default(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    return default if value is None else int(value)


def _rope(config: Mapping[str, Any]) -> Rope:
    """Read the base and its scaling: ``rope_parameters`` (transformers 5) or the two older keys."""
    parameters = config.get("rope_parameters") or {
        "rope_theta": config.get("rope_theta"),
        **(config.get("rope_scaling") or {}),
    }
    # Without a base a Llama configuration means 10000, by the class of its first release.
    theta = parameters.get("rope_theta") or config.get("rope_theta") or 10000.0
    if parameters.get("partial_rotary_factor", 1.0) != 1.0:
        raise PackageError(
            f"partial_rotary_factor is {parameters['partial_rotary_factor']}; the oracle "
            "rotates whole heads only"
        )
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    if kind not in _SCALINGS:
        raise PackageError(f"rope_type is {kind!r}.{did_you_mean(str(kind), _SCALINGS)}")
    numbers = {
        field: number(_need(parameters, key, "rope scaling: "))
        for field, (key, number) in _SCALINGS[kind].items()
    }
    return Rope(float(theta), kind, **numbers)


_SCALINGS: Mapping[str, Mapping[str, tuple[str, Any]]] = {
    "default": {},
    "linear": {"factor": ("factor", float)},
    "llama3": {
        "factor": ("factor", float),
        "low": ("low_freq_factor", float),
        "high": ("high_freq_factor", float),
        "original_positions": ("original_max_position_embeddings", int),
    },
}
"""The keys of each kind of scaling, by the field of ``Rope`` that they fill."""
