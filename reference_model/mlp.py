"""The feed-forward networks of a decoder, and their activations.

Shape suffixes are those of ``model``.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and a module has to be an nn.Module.

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_model.config import Mlp as MlpShape


class Mlp(nn.Module):
    """Feed-forward network: SwiGLU or GEGLU (Shazeer 2020, eq. 6), or without a gate."""

    def __init__(self, dim: int, shape: MlpShape) -> None:
        super().__init__()
        self.activation, self.gated, self.shape = shape.activation, shape.gated, shape
        if shape.gated:
            self.gate_proj = nn.Linear(dim, shape.hidden, bias=shape.bias)
        self.up_proj = nn.Linear(dim, shape.hidden, bias=shape.bias)
        self.down_proj = nn.Linear(shape.hidden, dim, bias=shape.bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return what the feed-forward adds to the residual stream, (B, T, D)."""
        if not self.gated:
            return self.down_proj(activation(self.activation)(self.up_proj(x_BTD)))
        # MLP-001: SiLU of the gate, or what the model names, times the up projection.
        gate_BTF = opened(self.gate_proj(x_BTD), self.shape)
        return self.down_proj(gate_BTF * passed(self.up_proj(x_BTD), self.shape))


def opened(gate_BTF: Tensor, shape: MlpShape) -> Tensor:
    """Return how far each unit's gate is open, (B, T, F)."""
    if shape.limit is not None:
        # MLP-003: the gate is clamped from above alone, and before its activation.
        gate_BTF = gate_BTF.clamp(max=shape.limit)
    if shape.sharpness != 1:
        return gate_BTF * torch.sigmoid(shape.sharpness * gate_BTF)
    return activation(shape.activation)(gate_BTF)


def passed(up_BTF: Tensor, shape: MlpShape) -> Tensor:
    """Return what the gates multiply, (B, T, F)."""
    if shape.limit is not None:
        # MLP-003: clamped on both sides, and then the offset is added.
        up_BTF = up_BTF.clamp(-shape.limit, shape.limit)
    return up_BTF + shape.offset if shape.offset else up_BTF


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return an activation by its name in ``config.Mlp``."""
    known: dict[str, Callable[[Tensor], Tensor]] = {
        "silu": silu,
        "gelu_tanh": gelu_tanh,
        "gelu": gelu,
        "relu": torch.relu,
    }
    return known[name]


def silu(x: Tensor) -> Tensor:
    """Return x * sigmoid(x), of any shape (Elfwing et al. 2018)."""
    return x * torch.sigmoid(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """Return GELU by its approximation, of any shape (Hendrycks and Gimpel 2016, section 2)."""
    # LOGITS-001: the form with tanh, which is not that with erf: they differ by up to 5e-4.
    return nn.functional.gelu(x, approximate="tanh")


def gelu(x: Tensor) -> Tensor:
    """Return GELU, x times the normal distribution at x (Hendrycks and Gimpel 2016, eq. 2)."""
    return nn.functional.gelu(x)
