"""Faults of YaRN in a decoder: its ramp, its lengths, its attention factor.

A model without YaRN has no place for these; those of the operator RotaryPhases stand in
``scalings``. Sources: Peng et al. 2023, sections 3.2 and 3.3.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]

SEEN = ("LOGITS-001", "LOGITS-002", "ROPE-003", "ROPE-014")
"""Requirements that see wrong frequencies or scores on any tokens."""


def _is_yarn(config: Any) -> bool:
    scaling = getattr(config.rope, "scaling", None)
    return type(scaling).__name__ == "Yarn"  # of a module that a vendor need not have


def _yarn(config: Any, **changes: Any) -> Any:
    """Return a configuration with some numbers of its YaRN replaced, if it has any."""
    if not _is_yarn(config):
        return config
    scaling = dataclasses.replace(config.rope.scaling, **changes)
    return dataclasses.replace(config, rope=dataclasses.replace(config.rope, scaling=scaling))


@mutant("config", kills=SEEN, bug="huggingface/transformers#47435")
def yarn_attention_factor_dropped(config: Any) -> Any:
    """YaRN's frequencies are taken, and cosines and sines are not multiplied by its factor."""
    return _yarn(config, attention_factor=1.0, mscale=None, mscale_all_dim=None)


@mutant("attention_factor", kills=SEEN, bug="sgl-project/sglang#33558")
def yarn_attention_factor_twice(honest: Honest, rope: Any) -> float:
    """YaRN's attention factor is multiplied in twice, at the phases and at the scores."""
    return float(honest(rope) ** 2)


@mutant("attention_factor", kills=SEEN, bug="generic")
def yarn_attention_factor_on_one_side(honest: Honest, rope: Any) -> float:
    """Scores grow by YaRN's attention factor, where they are to grow by its square."""
    return float(honest(rope) ** 0.5)


@mutant("yarn_frequencies", kills=SEEN, bug="generic")
def yarn_factor_ignored(honest: Honest, rope: Any, scaling: Any, dim: int) -> Any:
    """Cosines and sines are multiplied by YaRN's factor, and frequencies are not slowed."""
    return honest(rope, dataclasses.replace(scaling, factor=1.0), dim)


@mutant("yarn_frequencies", kills=SEEN, bug="generic")
def yarn_of_the_fast_half(honest: Honest, rope: Any, scaling: Any, dim: int) -> Any:
    """YaRN divides the fast pairs by the factor, and keeps the slow ones."""
    plain = (rope.theta ** (-2 * pair / dim) for pair in range(dim // 2))
    slowed = honest(rope, scaling, dim)
    return tuple(f + f / scaling.factor - own for f, own in zip(plain, slowed, strict=True))


@mutant("config", kills=SEEN, bug="pytorch/torchtitan#3787")
def yarn_borders_assumed(config: Any) -> Any:
    """YaRN's ramp lies between 32 turns and 1, whatever the checkpoint says."""
    return _yarn(config, beta_fast=32.0, beta_slow=1.0)


@mutant("config", kills=SEEN, bug="generic")
def yarn_never_truncated(config: Any) -> Any:
    """YaRN's ramp begins and ends between two pairs, where its corners are to be rounded."""
    return _yarn(config, truncate=False)


@mutant("config", kills=SEEN, bug="generic")
def yarn_of_the_extended_length(config: Any) -> Any:
    """YaRN counts turns within the extended context, and not within the original one."""
    return _yarn(config, original_max_positions=config.max_positions)


@mutant("yarn_frequencies", kills=SEEN, bug="generic")
def yarn_ramp_over_channels(honest: Honest, rope: Any, scaling: Any, dim: int) -> Any:
    """YaRN's ramp counts channels where it is to count pairs: it begins and ends twice as late."""
    plain = [rope.theta ** (-2 * pair / dim) for pair in range(dim // 2)]
    slowed = honest(rope, scaling, dim)
    return tuple(f * slowed[pair // 2] / plain[pair // 2] for pair, f in enumerate(plain))
