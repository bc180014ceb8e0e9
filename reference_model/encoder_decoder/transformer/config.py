"""What the original Transformer is made of, as frozen values. No file format, no defaults.

A record of its own beside T5's: positions that are added to the embedding, a norm with a mean and a
bias behind each part, and biases everywhere leave little that both have.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTIVATIONS = ("relu", "silu")
EPS = 1e-5
"""Of every norm, added to the variance: no file names another."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two stacks."""

    layers: int
    heads: int
    """Of ``dim / heads`` channels each."""
    hidden: int
    """Units of the feed-forward."""


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """An encoder-decoder: two stacks of width ``dim`` over one embedding, which is the head too."""

    vocab: int
    dim: int
    encoder: Side
    decoder: Side
    activation: str
    """One of :data:`ACTIVATIONS`: ReLU is the paper's, SiLU of most that were published."""
    max_positions: int
    """Tokens of the longest source, and of the longest target."""
    start: int
    """The token that every target begins with."""

    @property
    def decoder_layers(self) -> int:
        """Layers whose keys and values are kept."""
        return self.decoder.layers

    @property
    def heads(self) -> int:
        """Heads whose keys and values are kept: the decoder's."""
        return self.decoder.heads

    @property
    def head_dim(self) -> int:
        """Channels of these."""
        return self.dim // self.decoder.heads


def validate(config: TransformerConfig) -> None:
    """Check that the numbers of a config fit together.

    Raises:
        ValueError: one is out of its range, or two contradict each other.
    """
    counts = {name: getattr(config, name) for name in ("vocab", "dim", "max_positions")}
    for stack in ("encoder", "decoder"):
        side = getattr(config, stack)
        counts |= {f"{stack}.{name}": getattr(side, name) for name in ("layers", "heads", "hidden")}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; it has to be at least 1")
    if config.dim % 2:
        raise ValueError(f"dim is {config.dim}; it has to be even: half of it is sines of places")
    for stack in ("encoder", "decoder"):
        if config.dim % counts[f"{stack}.heads"]:
            heads = counts[f"{stack}.heads"]
            raise ValueError(f"{stack}.heads is {heads}, which does not divide dim {config.dim}")
    if config.activation not in ACTIVATIONS:
        raise ValueError(f"activation is {config.activation!r}; known: {', '.join(ACTIVATIONS)}")
    if not 0 <= config.start < config.vocab:
        raise ValueError(f"start is {config.start}; there are {config.vocab} tokens")
