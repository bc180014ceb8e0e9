"""What an encoder of BERT's shape is made of, as frozen values. No file format, no defaults.

A record of its own: of a decoder's mechanisms (rotation, cache, grouped heads) it has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """An encoder: ``layers`` blocks of width ``dim`` (Devlin et al. 2019, section 3).

    Positions run from 0 to ``max_positions`` - 1, in slots: padding counts.
    """

    vocab: int
    types: int
    """Token types: segments of the input."""
    dim: int
    layers: int
    heads: int
    """They divide ``dim``."""
    hidden: int
    """Units of the feed-forward."""
    max_positions: int
    eps: float
    """Of every LayerNorm, added to the variance."""
    pooler: bool
    """Whether there is a vector of the whole row."""
    head: bool
    """Whether there are logits of masked tokens."""

    @property
    def head_dim(self) -> int:
        """The width of one attention head."""
        return self.dim // self.heads


def validate(config: EncoderConfig) -> None:
    """Check that the numbers of a config fit together.

    Raises:
        ValueError: one is out of its range, or two contradict each other.
    """
    for name in ("vocab", "types", "dim", "layers", "heads", "hidden", "max_positions"):
        count = getattr(config, name)
        if count < 1:
            raise ValueError(f"{name} is {count}; it has to be at least 1")
    if config.dim % config.heads:
        raise ValueError(
            f"heads is {config.heads}, which does not divide dim {config.dim}; each head has the "
            "same share of the width"
        )
    if not (math.isfinite(config.eps) and config.eps > 0):
        raise ValueError(f"eps is {config.eps}; it has to be positive")
