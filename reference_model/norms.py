"""The norms of a decoder: before attention and feed-forward, behind them, of heads, and the last.

Shape suffixes are those of ``model``.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and a module has to be an nn.Module.

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from reference_model.config import ModelConfig, Norm


def at_least_float32(x: Tensor) -> Tensor:
    """Return ``x`` in its own type, or in float32 where that is narrower."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class RMSNorm(nn.Module):
    """Root mean square normalisation (Zhang and Sennrich 2019, eq. 4)."""

    def __init__(self, dim: int, norm: Norm) -> None:
        super().__init__()
        self.eps, self.offset, self.wide = norm.eps, norm.offset, norm.wide
        self.weight = nn.Parameter(torch.empty(dim))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Normalise each token's vector, (B, T, D)."""
        wide_BTD = at_least_float32(x_BTD)
        mean_square_BT1 = (wide_BTD * wide_BTD).mean(-1, keepdim=True)
        # NORM-001: epsilon is added to the mean of squares, inside the root.
        normed_BTD = wide_BTD / torch.sqrt(mean_square_BT1 + self.eps)
        if self.wide:
            # LOGITS-001: first times the factor, in at least float32, then back to the type.
            return (normed_BTD * self.gain()).to(x_BTD.dtype)
        # LOGITS-001: first back to the model's type, then times the weight.
        return normed_BTD.to(x_BTD.dtype) * self.gain()

    def gain(self) -> Tensor:
        """Return what normalised vectors are multiplied by, (D,): the weight plus its offset."""
        weight_D = at_least_float32(self.weight) if self.wide else self.weight
        return self.offset + weight_D if self.offset else weight_D


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016, eq. 4), in at least float32 throughout."""

    def __init__(self, dim: int, norm: Norm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Normalise each token's vector, (B, T, D)."""
        wide_BTD = at_least_float32(x_BTD)
        centred_BTD = wide_BTD - wide_BTD.mean(-1, keepdim=True)
        # NORM-006: the variance divides by D, not D - 1, and epsilon is added inside the root.
        variance_BT1 = (centred_BTD * centred_BTD).mean(-1, keepdim=True)
        normed_BTD = centred_BTD / torch.sqrt(variance_BT1 + self.eps)
        scaled_BTD = normed_BTD * at_least_float32(self.weight) + at_least_float32(self.bias)
        return scaled_BTD.to(x_BTD.dtype)


def block_norm(config: ModelConfig) -> nn.Module:
    """Return what the stream passes before attention, before the feed-forward, and at the end."""
    kind = LayerNorm if config.norm.centred else RMSNorm
    return kind(config.dim, config.norm)


def head_norm(config: ModelConfig) -> nn.Module:
    """Return what a layer's queries, or its keys, pass: each head by itself, by common weights."""
    if not config.attention.qk_norm:
        return nn.Identity()
    return RMSNorm(config.attention.head_dim, config.norm)
