"""A mixture of experts in place of a feed-forward network: each token is computed by a few.

Shape suffixes are those of ``model``; E experts, C chosen ones.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and a module has to be an nn.Module.

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from reference_model.mlp import Mlp
from reference_model.norms import at_least_float32

if TYPE_CHECKING:
    from reference_model.config import Experts
    from reference_model.config import Mlp as MlpShape


class Mixture(nn.Module):
    """Sparsely gated experts (Shazeer et al. 2017, section 2; Jiang et al. 2024, section 2.1)."""

    def __init__(self, dim: int, shape: MlpShape, experts: Experts) -> None:
        super().__init__()
        self.shape = experts
        self.gate = nn.Linear(dim, experts.count, bias=experts.bias)
        each = replace(shape, hidden=shape.expert_hidden)
        self.experts = nn.ModuleList(Mlp(dim, each) for _ in range(experts.count))
        if experts.shared:
            self.shared_expert = Mlp(dim, replace(shape, hidden=experts.shared))
            self.shared_expert_gate = nn.Linear(dim, 1, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return what the experts add to the residual stream, (B, T, D).

        Dense: each expert computes every token, and those that a token has not chosen are left out
        of its sum. So no shape depends on a value, and a graph of it runs everywhere; who counts
        operations gathers the tokens of each expert, and has the same sums.
        """
        share_BTE = expert_shares(self.gate(x_BTD), self.shape).to(x_BTD.dtype)
        total_BTD = torch.zeros_like(x_BTD)
        for e, expert in enumerate(self.experts):
            share_BT1 = share_BTE[..., e : e + 1]
            # An expert that is not chosen may overflow, and 0 times infinity is NaN.
            added_BTD = torch.where(share_BT1 > 0, share_BT1 * expert(x_BTD), 0)
            total_BTD = total_BTD + added_BTD
        if not self.shape.shared:
            return total_BTD
        # LOGITS-001: every token passes the shared expert, as far as its own gate is open.
        open_BT1 = shared_share(self.shared_expert_gate(x_BTD))
        return total_BTD + open_BT1 * self.shared_expert(x_BTD)


def feed_forward(dim: int, shape: MlpShape, layer: int) -> nn.Module:
    """Return the feed-forward of a layer: one network, or a mixture of several."""
    experts = shape.experts_of(layer)
    return Mlp(dim, shape) if experts is None else Mixture(dim, shape, experts)


def shared_share(score_BT1: Tensor) -> Tensor:
    """Return by how much the shared expert counts for each token, (B, T, 1)."""
    return torch.sigmoid(score_BT1)


def expert_shares(logits_BTE: Tensor, shape: Experts) -> Tensor:
    """Return by how much each expert counts for each token, (B, T, E): 0 for most.

    In at least float32.
    """
    wide_BTE = at_least_float32(logits_BTE)
    if shape.softmax_first:
        # ROUTER-001: shares of all experts' softmax; those of the chosen add up to less than 1.
        chosen_BTC, at_BTC = chosen(torch.softmax(wide_BTE, dim=-1), shape)
    else:
        # ROUTER-003: the softmax of the chosen experts' logits alone.
        logits_BTC, at_BTC = chosen(wide_BTE, shape)
        chosen_BTC = torch.softmax(logits_BTC, dim=-1)
    if shape.renormalise:
        # ROUTER-002: the shares of the chosen are divided by their sum.
        chosen_BTC = chosen_BTC / chosen_BTC.sum(-1, keepdim=True)
    return torch.zeros_like(wide_BTE).scatter(-1, at_BTC, chosen_BTC)


def chosen(scores_BTE: Tensor, shape: Experts) -> tuple[Tensor, Tensor]:
    """Return the scores of the experts that are chosen and which they are, each (B, T, C)."""
    scores_BTC, at_BTC = torch.topk(scores_BTE, shape.chosen, dim=-1)
    return scores_BTC, at_BTC
