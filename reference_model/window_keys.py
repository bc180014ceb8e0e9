"""The keys of a ``config.json`` that say which layers have a window, and how wide it is.

Nothing here imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_model import json_values
from reference_model.errors import ConfigError
from reference_model.rope_keys import FULL, SLIDING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_model.config import ModelConfig

    Document = Mapping[str, Any]

WINDOWS = ("use_sliding_window", "sliding_window", "max_window_layers", "layer_types")
"""Qwen's keys."""


def read_window(document: Document) -> dict[str, Any]:
    """Read Mistral's window, which all layers have; null is none, absent would be 4096."""
    if "sliding_window" not in document:
        raise ConfigError("config.json: sliding_window is missing (no default is assumed)")
    if document["sliding_window"] is None:
        return {}
    return {"window": json_values.integer(document, "sliding_window")}


def write_window(config: ModelConfig) -> dict[str, Any]:
    """Return the key of a window that all layers have."""
    return {"sliding_window": config.attention.window}


def read_windows(document: Document) -> dict[str, Any]:
    """Read Qwen's windows: by ``layer_types``, or else in all layers from a number on."""
    layers = json_values.integer(document, "num_hidden_layers")
    kinds = document.get("layer_types")
    if not json_values.boolean(document, "use_sliding_window"):
        check_kinds(kinds, layers, (FULL,))
        return {}
    window = json_values.integer(document, "sliding_window")
    if kinds is None:
        full = frozenset(range(min(layers, json_values.integer(document, "max_window_layers"))))
    else:
        check_kinds(kinds, layers, (SLIDING, FULL))
        full = frozenset(i for i, kind in enumerate(kinds) if kind == FULL)
    return {} if len(full) == layers else {"window": window, "full_layers": full}


def check_kinds(kinds: Any, layers: int, allowed: tuple[str, ...]) -> None:
    """Check a list of layers' kinds, if there is one.

    Raises:
        ConfigError: it is no list of so many, or has another word than those that are allowed.
    """
    if kinds is None:
        return
    good = isinstance(kinds, list) and len(kinds) == layers and all(k in allowed for k in kinds)
    if not good:
        raise ConfigError(
            f"config.json: layer_types is {kinds!r}; it has to be a list of {layers}, each of "
            f"{' or '.join(map(repr, allowed))}"
        )


def write_windows(config: ModelConfig) -> dict[str, Any]:
    """Return Qwen's keys."""
    attention, layers = config.attention, range(config.layers)
    sliding = [attention.window_of(layer) is not None for layer in layers]
    return {
        "use_sliding_window": any(sliding),
        "sliding_window": attention.window,
        "max_window_layers": sliding.index(True) if any(sliding) else config.layers,
        "layer_types": [SLIDING if one else FULL for one in sliding],
    }
