"""Scalings of rotary frequencies that look at more than one frequency, as plain numbers.

``config`` says what each is and where it comes from. Nothing here imports torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reference_model.config import LongRope, Yarn

if TYPE_CHECKING:
    from reference_model.config import Rope


def yarn_frequencies(rope: Rope, scaling: Yarn, dim: int) -> tuple[float, ...]:
    """Return the rotation per position of each of the ``dim`` / 2 pairs, in radians."""
    start, end = yarn_ramp(rope.theta, scaling, dim)
    frequencies = []
    for pair in range(dim // 2):
        frequency = rope.theta ** (-2 * pair / dim)
        # ROPE-011: 0 up to the start of the ramp, 1 from its end on, by the pair's number between.
        slowed = min(1.0, max(0.0, (pair - start) / (end - start)))
        frequencies.append((1 - slowed) * frequency + slowed * frequency / scaling.factor)
    return tuple(frequencies)


def yarn_ramp(theta: float, scaling: Yarn, dim: int) -> tuple[float, float]:
    """Return at which pair slowing begins, and from which on it is whole."""
    start, end = (
        # Pair i turns L theta**(-2 i / K) / (2 pi) times within L positions: solved for i.
        dim * math.log(scaling.original_max_positions / (2 * math.pi * turns)) / math.log(theta) / 2
        for turns in (scaling.beta_fast, scaling.beta_slow)
    )
    if scaling.truncate:
        start, end = math.floor(start), math.ceil(end)
    start, end = max(start, 0), min(end, dim - 1)
    return start, (end if end != start else start + 0.001)  # then a step in place of a ramp


def longrope_frequencies(rope: Rope, factors: tuple[float, ...], dim: int) -> tuple[float, ...]:
    """Return the rotation per position of each of the ``dim`` / 2 pairs, in radians."""
    # ROPE-013: each pair has a factor of its own.
    return tuple(rope.theta ** (-2 * i / dim) / factor for i, factor in enumerate(factors))


def attention_factor(rope: Rope) -> float:
    """Return what all cosines and sines are multiplied by."""
    scaling = rope.scaling
    if not isinstance(scaling, Yarn | LongRope):
        return 1.0
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    if isinstance(scaling, LongRope):
        # ROPE-013: the longer the context became, the more sharply it is attended to.
        return math.sqrt(1 + math.log(scaling.factor) / math.log(scaling.original_max_positions))
    # ROPE-012: longer contexts are attended to more sharply: scores grow by the factor's square.
    log = math.log(scaling.factor)
    if scaling.mscale is None or scaling.mscale_all_dim is None:
        return 1 + 0.1 * log
    return (1 + 0.1 * scaling.mscale * log) / (1 + 0.1 * scaling.mscale_all_dim * log)
