"""What an encoder-decoder of T5's shape is made of, as frozen values. No file format, no defaults.

A record of its own: attention without a scale, a bias of distances in place of positions, and a
second kind of attention that reads the source, are in no decoder here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ACTIVATIONS = ("relu", "gelu_tanh", "silu")


@dataclass(frozen=True, slots=True)
class Buckets:
    """How distances share the rows of a bias table (Raffel et al. 2020, section 2.1).

    The encoder has half of the rows for keys at or before the query and half for those behind it.
    Of what a side has, half is for one distance each; the others grow by equal factors, and the
    last of them has all that is as far as ``max_distance`` and farther.
    """

    count: int
    """Rows of a table; a multiple of 4."""
    max_distance: int


@dataclass(frozen=True, slots=True)
class EncoderDecoderConfig:
    """An encoder-decoder: two stacks of width ``dim`` over one embedding."""

    vocab: int
    dim: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    head_dim: int
    """Of queries, keys and values; ``heads`` times it need not be ``dim``."""
    hidden: int
    """Units of the feed-forward."""
    buckets: Buckets
    activation: str
    """One of :data:`ACTIVATIONS`."""
    gated: bool
    """Whether a second product gates the activated units (Shazeer 2020)."""
    eps: float
    """Of every norm, added to the mean square."""
    tied: bool
    """Whether the head is the embedding, and its input then scaled by 1 / sqrt(dim)."""
    start: int
    """The token that every target begins with."""


def validate(config: EncoderDecoderConfig) -> None:
    """Check that the numbers of a config fit together.

    Raises:
        ValueError: one is out of its range, or two contradict each other.
    """
    sizes = ("vocab", "dim", "encoder_layers", "decoder_layers", "heads", "head_dim", "hidden")
    for name in sizes:
        count = getattr(config, name)
        if count < 1:
            raise ValueError(f"{name} is {count}; it has to be at least 1")
    rows, farthest = config.buckets.count, config.buckets.max_distance
    if rows < 4 or rows % 4:
        raise ValueError(
            f"there are {rows} buckets; a multiple of 4 is wanted, half of them on each side and "
            "half of these for one distance each"
        )
    if farthest <= rows // 2:
        raise ValueError(
            f"max_distance is {farthest}; it has to be more than {rows // 2}, the distances that "
            "have buckets of their own"
        )
    if config.activation not in ACTIVATIONS:
        raise ValueError(f"activation is {config.activation!r}; known: {', '.join(ACTIVATIONS)}")
    if not 0 <= config.start < config.vocab:
        raise ValueError(f"start is {config.start}; there are {config.vocab} tokens")
    if not (math.isfinite(config.eps) and config.eps > 0):
        raise ValueError(f"eps is {config.eps}; it has to be positive")
