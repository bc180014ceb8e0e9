"""The decoder in the large operators of ONNX 23 and later, to be exported.

What ``model`` writes out step by step is here one ``RMSNormalization``, ``RotaryEmbedding`` or
``Attention``: plain torch code does not become those nodes. The weights, the phases and the masks
are the decoder's own. Shape suffixes are those of ``model``; P is the count of past tokens.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and what is exported has to be an nn.Module.

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from reference_model.alibi import linear_bias
from reference_model.answers import LayerCache, Output
from reference_model.model import allowed_keys, extend, keys_of_layer, repeat_heads
from reference_model.model import attend as composed
from reference_model.norms import LayerNorm, RMSNorm, at_least_float32

if TYPE_CHECKING:
    from reference_model.answers import Cache
    from reference_model.config import Rope
    from reference_model.model import Attention, Block, Decoder


class FusedDecoder(nn.Module):
    """A decoder's weights under another forward; it needs a cache, which may hold no tokens.

    Its logits are the decoder's at every token that the mask shows. A padded one attends to itself
    alone, where the decoder weighs all keys alike: nobody reads either.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.config = decoder.config
        self.decoder = decoder

    def forward(
        self,
        input_ids_BT: Tensor,
        attention_mask_BS: Tensor,
        position_ids_BT: Tensor,
        cache: Cache,
        taps: bool = False,  # noqa: FBT001, FBT002  # as the decoder's forward has it
    ) -> Output:
        """Return logits and cache as ``Decoder`` does; of its taps, those after each layer."""
        trunk = self.decoder.model
        x_BTD = self.decoder.embed(input_ids_BT, position_ids_BT)
        allowed_B1TS = visible_keys(attention_mask_BS, input_ids_BT.shape[1])
        phases = trunk.phases(position_ids_BT, x_BTD.dtype)
        longer, seen = [], {}
        for i, (block, past) in enumerate(zip(trunk.layers, cache, strict=True)):
            seen_B1TS = keys_of_layer(self.config.attention, i, allowed_B1TS)
            x_BTD, layer_cache = run_block(block, x_BTD, seen_B1TS, phases[i], past)
            longer.append(layer_cache)
            seen[f"layer.{i}"] = x_BTD
        logits_BTV = self.decoder.head(normalised(trunk.norm, x_BTD))
        return Output(logits_BTV, tuple(longer), seen if taps else {})


def visible_keys(attention_mask_BS: Tensor, tokens: int) -> Tensor:
    """Return ``allowed_keys``, and itself for every token: bool (B, 1, T, S).

    A query that may see no key is a softmax over nothing: NaN by Attention-23 as it was released
    and 0 by its errata. NaN would reach the real tokens of a left-padded row as 0 * NaN.
    """
    keys = attention_mask_BS.shape[1]
    slot_S = torch.arange(keys, device=attention_mask_BS.device)
    itself_TS = slot_S == slot_S[keys - tokens :].unsqueeze(1)
    return allowed_keys(attention_mask_BS, tokens) | itself_TS


def run_block(
    block: Block,
    x_BTD: Tensor,
    allowed_B1TS: Tensor,
    phases: tuple[Tensor, Tensor],
    past: LayerCache,
) -> tuple[Tensor, LayerCache]:
    """Return the stream behind a block, (B, T, D), and the longer cache."""
    normed_BTD = normalised(block.input_layernorm, x_BTD)
    attention_BTD, cache = attend(block.self_attn, normed_BTD, allowed_B1TS, phases, past)
    if not block.sandwich:
        x_BTD = x_BTD + attention_BTD
        return x_BTD + block.mlp(normalised(block.post_attention_layernorm, x_BTD)), cache
    x_BTD = x_BTD + normalised(block.post_attention_layernorm, attention_BTD)
    mlp_BTD = block.mlp(normalised(block.pre_feedforward_layernorm, x_BTD))
    return x_BTD + normalised(block.post_feedforward_layernorm, mlp_BTD), cache


def normalised(norm: nn.Module, x_BTD: Tensor) -> Tensor:
    """Return each token's vector, or each head's, normalised: one ``RMSNormalization``.

    It is one ``LayerNormalization`` where the mean is subtracted. Heads of a model that normalises
    none stay as they are.
    """
    if isinstance(norm, LayerNorm):
        shape = norm.weight.shape
        return nn.functional.layer_norm(x_BTD, shape, norm.weight, norm.bias, norm.eps)
    if not isinstance(norm, RMSNorm):
        return x_BTD
    if norm.wide:
        wide_BTD, gain_D = at_least_float32(x_BTD), norm.gain()
        return nn.functional.rms_norm(wide_BTD, gain_D.shape, gain_D, norm.eps).to(x_BTD.dtype)
    return nn.functional.rms_norm(x_BTD, norm.weight.shape, norm.gain(), norm.eps)


def attend(
    attention: Attention,
    x_BTD: Tensor,
    allowed_B1TS: Tensor,
    phases: tuple[Tensor, Tensor],
    past: LayerCache,
) -> tuple[Tensor, LayerCache]:
    """Return what attention adds, (B, T, D), and the longer cache: one ``Attention``.

    The operator repeats key/value heads and puts the past before the new keys by itself.
    """
    q_BHTK = attention.split(attention.q_proj(x_BTD))
    q_BHTK = turned(normalised(attention.q_norm, q_BHTK), phases, attention.rope)
    k_BGTK = attention.split(attention.k_proj(x_BTD))
    k_BGTK = turned(normalised(attention.k_norm, k_BGTK), phases, attention.rope)
    v_BGTK = attention.split(attention.v_proj(x_BTD))
    if attention.shape.softcap is not None or attention.sinks is not None:
        return own_softmax(attention, q_BHTK, extend(past, k_BGTK, v_BGTK), allowed_B1TS)
    shape = attention.shape
    mask_BHTS = biased(allowed_B1TS, shape.heads, q_BHTK.dtype) if shape.alibi else allowed_B1TS
    scale = {} if shape.query_scalar is None else {"scale": shape.score_dim**-0.5}
    out_BHTK, k_BGSK, v_BGSK, _ = torch.onnx.ops.attention(
        q_BHTK, k_BGTK, v_BGTK, mask_BHTS, past.k_BGSK, past.v_BGSK, **scale
    )
    out_BTD = attention.o_proj(out_BHTK.transpose(1, 2).flatten(2))
    return out_BTD, LayerCache(k_BGSK, v_BGSK)


def biased(allowed_B1TS: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
    """Return linear biases, and minus infinity for a key that is hidden, (B, H, T, S)."""
    bias_BHTS = linear_bias(allowed_B1TS, heads, torch.promote_types(dtype, torch.float32))
    return torch.where(allowed_B1TS, bias_BHTS, -torch.inf).to(dtype)


def own_softmax(
    attention: Attention, q_BHTK: Tensor, cache: LayerCache, allowed_B1TS: Tensor
) -> tuple[Tensor, LayerCache]:
    """Return what attention with capped scores or sinks adds, (B, T, D), and the longer cache.

    Composed as the decoder does it: revisions of the standard differ on whether the operator caps
    before the mask or behind it, and none has sinks.
    """
    heads = attention.shape.heads
    k_BHSK, v_BHSK = (repeat_heads(x_BGSK, heads) for x_BGSK in cache)
    out_BHTK = composed(q_BHTK, k_BHSK, v_BHSK, allowed_B1TS, attention.shape, attention.sinks)
    return attention.o_proj(out_BHTK.transpose(1, 2).flatten(2)), cache


def turned(x_BHTK: Tensor, phases: tuple[Tensor, Tensor], rope: Rope | None) -> Tensor:
    """Turn queries or keys, (B, H, T, K), in at least float32: one ``RotaryEmbedding``.

    Where positions are learned there are no phases, and nothing turns.
    """
    if rope is None:
        return x_BHTK
    cos_BTI, sin_BTI = (phase_B1TI.squeeze(1) for phase_B1TI in phases)
    wide_BHTK = at_least_float32(x_BHTK)
    part = 2 * cos_BTI.shape[-1]
    how = {} if part == x_BHTK.shape[-1] else {"rotary_embedding_dim": part}
    how |= {"interleaved": True} if rope.interleaved else {}
    return torch.onnx.ops.rotary_embedding(wide_BHTK, cos_BTI, sin_BTI, **how).to(x_BHTK.dtype)
