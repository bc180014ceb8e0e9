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
    from reference_model.config import Mlp as MlpShape


class Mlp(nn.Module):
    """Gated feed-forward network without biases, SwiGLU or GEGLU (Shazeer 2020, eq. 6)."""

    def __init__(self, dim: int, shape: MlpShape) -> None:
        super().__init__()
        self.activation = shape.activation
        self.gate_proj = nn.Linear(dim, shape.hidden, bias=False)
        self.up_proj = nn.Linear(dim, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, dim, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return what the feed-forward adds to the residual stream, (B, T, D)."""
        # MLP-001: SiLU of the gate, or what the model names, times the up projection.
        activate = gelu_tanh if self.activation == "gelu_tanh" else silu
        return self.down_proj(activate(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))


def silu(x: Tensor) -> Tensor:
    """Return x * sigmoid(x), of any shape (Elfwing et al. 2018)."""
    return x * torch.sigmoid(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """Return GELU by its approximation, of any shape (Hendrycks and Gimpel 2016, section 2)."""
    # LOGITS-001: the form with tanh, which is not that with erf: they differ by up to 5e-4.
    return nn.functional.gelu(x, approximate="tanh")
