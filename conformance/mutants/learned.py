"""Faults of what GPT-2 has: learned positions, LayerNorm, biases, a fused projection, a plain MLP.

A model without them has no place for these. B batch, T tokens, D model, H heads, K head dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE, at_least_float32

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("Decoder.embed", kills=(*EVERYWHERE, "ROPE-003"), bug="generic")
def learned_positions_two_later(honest: Honest, self: Any, ids_BT: Any, at_BT: Any) -> Any:
    """Each position has the vector of two positions later, as in OPT's table."""
    last = self.config.max_positions - 1
    return honest(self, ids_BT, (at_BT + 2).clamp(max=last))


@mutant("Decoder.embed", kills=(*EVERYWHERE, "ROPE-003", "CACHE-001"), bug="generic")
def learned_positions_begin_with_each_call(
    honest: Honest, self: Any, ids_BT: Any, at_BT: Any
) -> Any:
    """A token's place in the call is taken for its position, with a cache as without."""
    return honest(self, ids_BT, at_BT.new_ones(at_BT.shape).cumsum(1) - 1)


@mutant("Decoder.forward", kills=("LOGITS-001", "BATCH-002"), bug="unslothai/unsloth#3699")
def learned_positions_counted_over_padding(
    honest: Honest, self: Any, ids_BT: Any, mask_BS: Any, at_BT: Any, *others: Any, **named: Any
) -> Any:
    """Positions of left-padded rows count the padding."""
    if not self.config.learned_positions:
        return honest(self, ids_BT, mask_BS, at_BT, *others, **named)
    padding_B1 = (mask_BS.cumsum(1) == 0).sum(1, keepdim=True)
    at_BT = (at_BT + padding_B1).clamp(max=self.config.max_positions - 1)
    return honest(self, ids_BT, mask_BS, at_BT, *others, **named)


@mutant("Decoder.embed", kills=(*EVERYWHERE, "ROPE-003"), bug="generic")
def learned_positions_missing(honest: Honest, self: Any, ids_BT: Any, at_BT: Any) -> Any:
    """No vectors of positions are added."""
    if not self.config.learned_positions:
        return honest(self, ids_BT, at_BT)
    return self.model.embed_tokens(ids_BT)


def _normed(self: Any, x_BTD: Any, deviation: Callable[[Any], Any]) -> Any:
    """Return LayerNorm with another deviation of the centred vectors, (B, T, 1)."""
    wide = at_least_float32(x_BTD.dtype)
    centred_BTD = x_BTD.to(wide) - x_BTD.to(wide).mean(-1, keepdim=True)
    normed_BTD = centred_BTD / deviation(centred_BTD)
    return (normed_BTD * self.weight.to(wide) + self.bias.to(wide)).to(x_BTD.dtype)


@mutant(
    "LayerNorm.forward", kills=("LOGITS-001", "TAP-001"), bug="generic", below_noise_at=("bf16",)
)
def layer_norms_over_one_less(_: Honest, self: Any, x_BTD: Any) -> Any:
    """LayerNorm's variance is a sample's: squares are divided by D - 1."""
    return _normed(self, x_BTD, lambda c: (c.var(-1, keepdim=True) + self.eps).sqrt())


@mutant(
    "LayerNorm.forward",
    kills=("LOGITS-001", "TAP-001"),
    bug="generic",
    below_noise_at=("fp16", "bf16"),
)
def layer_norms_epsilon_outside_the_root(_: Honest, self: Any, x_BTD: Any) -> Any:
    """LayerNorm adds epsilon to the deviation."""
    return _normed(self, x_BTD, lambda c: (c * c).mean(-1, keepdim=True).sqrt() + self.eps)


@mutant("LayerNorm.forward", kills=EVERYWHERE, bug="generic")
def layer_norms_keep_the_mean(_: Honest, self: Any, x_BTD: Any) -> Any:
    """LayerNorm does not subtract the mean, as RMSNorm does not."""
    wide_BTD = x_BTD.to(at_least_float32(x_BTD.dtype))
    root_BT1 = ((wide_BTD * wide_BTD).mean(-1, keepdim=True) + self.eps).sqrt()
    return (wide_BTD / root_BT1 * self.weight + self.bias).to(x_BTD.dtype)


@mutant("LayerNorm.forward", kills=EVERYWHERE, bug="generic")
def layer_norms_without_their_bias(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """LayerNorm does not add its bias."""
    return honest(self, x_BTD) - self.bias


def _without(weights: Any, ending: str) -> dict[str, Any]:
    return {n: np.zeros_like(t) if n.endswith(ending) else t for n, t in weights.items()}


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def bias_of_the_output_projection_dropped(
    honest: Honest, config: Any, weights: Any, **named: Any
) -> Any:
    """The bias of attention's output projection is not added."""
    return honest(config, _without(weights, "o_proj.bias"), **named)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def bias_of_the_units_dropped(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The bias of the feed-forward's units is not added."""
    return honest(config, _without(weights, "up_proj.bias"), **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def fused_projection_cut_head_by_head(
    honest: Honest, config: Any, weights: Any, **named: Any
) -> Any:
    """Queries, keys and values in one matrix are cut by heads, as GPT-NeoX lays them out."""
    attention, cut = config.attention, dict(weights)
    if attention.heads != attention.kv_heads:
        return honest(config, weights, **named)
    for query in [name for name in weights if ".q_proj." in name]:
        names = [query.replace("q_proj", f"{one}_proj") for one in "qkv"]
        fused = np.concatenate([weights[name] for name in names])
        by_heads = fused.reshape(attention.heads, 3, attention.head_dim, *fused.shape[1:])
        for i, name in enumerate(names):
            cut[name] = by_heads[:, i].reshape(weights[name].shape)
    return honest(config, cut, **named)


@mutant("Mlp.forward", kills=EVERYWHERE, bug="generic", below_noise_at=("bf16",))
def units_by_quick_gelu(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Units without a gate are x sigmoid(1.702 x), which is near to GELU."""
    if self.gated:
        return honest(self, x_BTD)
    unit_BTF = self.up_proj(x_BTD)
    return self.down_proj(unit_BTF * (1.702 * unit_BTF).sigmoid())
