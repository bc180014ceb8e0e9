"""Gemma's keys of ``config.json``: what each of its generations adds to a Llama's.

Nothing here imports torch.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reference_model import json_values
from reference_model.errors import ConfigError
from reference_model.rope_keys import FULL, SLIDING
from reference_model.window_keys import check_kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_model.config import ModelConfig

    Document = Mapping[str, Any]


def read_gemma2(document: Document) -> dict[str, Any]:
    """Read Gemma 2's scale and cap of scores, and its windows, by ``layer_types`` or every other.

    Gemma Team 2024, section 2; layers without the key slide where their number is even.
    """
    layers = json_values.integer(document, "num_hidden_layers")
    kinds = document.get("layer_types")
    if kinds is None:
        kinds = [(SLIDING, FULL)[layer % 2] for layer in range(layers)]
    return {
        **_gemma_attention(document, kinds),
        "softcap": _cap(document, "attn_logit_softcapping"),
    }


def read_gemma3(document: Document) -> dict[str, Any]:
    """Read Gemma 3's scale of scores, and its windows, by ``layer_types`` or all but each n-th.

    Gemma Team 2025, section 2; caps of scores it has none.
    """
    layers, kinds = json_values.integer(document, "num_hidden_layers"), document.get("layer_types")
    if kinds is None:
        pattern = json_values.integer(document, "sliding_window_pattern")
        if pattern < 1:
            raise ConfigError(
                f"config.json: sliding_window_pattern is {pattern}; it has to be at least 1"
            )
        kinds = [SLIDING if (layer + 1) % pattern else FULL for layer in range(layers)]
    return _gemma_attention(document, kinds)


def _gemma_attention(document: Document, kinds: Any) -> dict[str, Any]:
    check_kinds(kinds, json_values.integer(document, "num_hidden_layers"), (SLIDING, FULL))
    return {
        "query_scalar": json_values.integer(document, "query_pre_attn_scalar"),
        "window": json_values.integer(document, "sliding_window"),
        "full_layers": frozenset(layer for layer, kind in enumerate(kinds) if kind == FULL),
    }


def read_gemma_model(document: Document) -> dict[str, Any]:
    """Read what all of Gemma 2 has beside its attention, and its cap of logits."""
    return {
        "post_norms": True,
        "embedding_scale": math.sqrt(json_values.integer(document, "hidden_size")),
        "logit_softcap": _cap(document, "final_logit_softcapping"),
    }


def read_gemma3_model(document: Document) -> dict[str, Any]:
    """Read a cap of logits, which no release of Gemma 3 has; absent, there is none."""
    return read_gemma_model({"final_logit_softcapping": None, **document})


def _cap(document: Document, key: str) -> float | None:
    """Read a cap, where null is none and an absent key would be some class's default."""
    if key not in document:
        raise ConfigError(f"config.json: {key} is missing (no default is assumed)")
    return None if document[key] is None else json_values.number(document, key)


def _write(config: ModelConfig) -> dict[str, Any]:
    attention = config.attention
    windows = (attention.window_of(layer) for layer in range(config.layers))
    return {
        "query_pre_attn_scalar": attention.query_scalar,
        "attn_logit_softcapping": attention.softcap,
        "final_logit_softcapping": config.logit_softcap,
        "sliding_window": attention.window,
        "layer_types": [FULL if window is None else SLIDING for window in windows],
    }


NORM: Mapping[str, Any] = MappingProxyType({"offset": 1.0, "wide": True})
VALUES: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("gelu_pytorch_tanh",),
    "use_bidirectional_attention": (None, False),
}
COMMON: Mapping[str, Any] = {
    "demanded": ("head_dim",),  # absent it is 256, and not a head's share of the width
    "activation": ("hidden_activation", "gelu_pytorch_tanh", "gelu_tanh"),
    "norm": NORM,
    "tied": True,
    "write": _write,
}
"""What every Gemma has."""
