"""A model's rotary frequencies as a build may hold them, and what it holds where it is wrong.

R rotated pairs.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.oracles.rope import rope_frequencies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.architecture import Architecture
    from conformance.oracles.rope import Rope

    Array = NDArray[Any]

_DEFAULT = 10000.0
"""The base of arXiv:2104.09864, which a reader falls back to that finds none."""


@dataclass(frozen=True)
class Rotations:
    """What each pair of a head turns by from one position to the next, in radians."""

    each_R: Array
    """By the config, in fp64."""
    roundings: float
    """By how many roundings of the type in which they are computed honest ones may be off."""
    otherwise: Mapping[str, Array]
    """What they are with a mistake that is often made, by the mistake in words."""


def rotations(architecture: Architecture) -> list[Rotations]:
    """Return the frequencies that the layers of a model turn by, each once; none where none turn.

    They are powers of the base: an exponent that is rounded once, by u of itself, moves the power
    by u ln(base) of itself, and the quotient that the exponent is may be off by as much again.
    Eight roundings are those of the power, the division and the scaling. Llama 3's scaling mixes a
    frequency with a ``factor``-th of itself by a weight between 0 and 1 that is off by eight
    roundings of 1, and so by eight times the factor where nearly all is scaled.
    """
    ropes = map(architecture.rope_of, range(architecture.layers))
    return [_of(rope, architecture.head_dim) for rope in dict.fromkeys(ropes) if rope is not None]


def _of(rope: Rope, head_dim: int) -> Rotations:
    plain = dataclasses.replace(rope, kind="default", factor=1.0)
    mistakes = {
        f"the scaling {rope.kind!r} is lost": plain,
        "base and scaling are those of a default, 10000 and none": dataclasses.replace(
            plain, theta=_DEFAULT
        ),
    }
    return Rotations(
        rope_frequencies(rope, head_dim),
        2 * math.log(rope.theta) + 8 * (1 + rope.factor),
        {text: rope_frequencies(one, head_dim) for text, one in mistakes.items()},
    )
