"""Faults where layers with a window turn queries and keys in a way of their own, as Gemma 3's do.

A model whose layers all turn alike has no place for these. Source: Gemma Team 2025, section 2.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]

SEEN = (*EVERYWHERE, "ROPE-003")
"""Requirements that see that a layer turns wrongly, on any tokens."""


def _scaled(rope: Any, scaling: Any) -> Any:
    return dataclasses.replace(rope, scaling=scaling)


@mutant("config", kills=SEEN, bug="generic")
def local_base_ignored(config: Any) -> Any:
    """Layers with a window turn by the base of the others, unscaled."""
    if config.local_rope is None:
        return config
    return dataclasses.replace(config, local_rope=_scaled(config.rope, None))


@mutant("config", kills=SEEN, bug="generic")
def local_base_in_every_layer(config: Any) -> Any:
    """All layers turn by the base of those with a window; the others still scale."""
    if config.local_rope is None:
        return config
    rope = dataclasses.replace(config.rope, theta=config.local_rope.theta)
    return dataclasses.replace(config, rope=rope)


@mutant("config", kills=SEEN, bug="Blaizzy/mlx-vlm#1709")
def scaling_left_out_of_global_layers(config: Any) -> Any:
    """Layers that see everything turn by their base, and their scaling is not applied."""
    if config.local_rope is None:
        return config
    return dataclasses.replace(config, rope=_scaled(config.rope, None))


@mutant("config", kills=SEEN, bug="generic")
def scaling_in_local_layers_too(config: Any) -> Any:
    """The scaling of layers that see everything is applied in those with a window, too."""
    if config.local_rope is None:
        return config
    local = _scaled(config.local_rope, config.rope.scaling)
    return dataclasses.replace(config, local_rope=local)


@mutant("ModelConfig.rope_of", kills=SEEN, bug="generic")
def rotations_of_the_next_layer(honest: Honest, config: Any, layer: int) -> Any:
    """Which layers turn by the local base is off by one; their windows are right."""
    return honest(config, (layer + 1) % config.layers)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def head_norms_without_the_offset(honest: Honest, *arguments: Any, **named: Any) -> Any:
    """The norms of queries and keys multiply by the weight, and all others by 1 + weight."""
    decoder = honest(*arguments, **named)
    for block in decoder.model.layers:
        for norm in (block.self_attn.q_norm, block.self_attn.k_norm):
            if hasattr(norm, "offset"):
                norm.offset = 0.0
    return decoder
