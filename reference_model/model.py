"""What a decoder of the Llama family computes, to be read from top to bottom. Not made to be fast.

One path, eager, without any choice of kernel: kernels are what the suite tests. ``double()`` makes
every step float64; then this is an oracle. Conventions that differ between implementations carry
the id of their requirement.

Parameters have Hugging Face's tensor names. Shape suffixes: B batch, T tokens of this call, S keys
(the past tokens' and these), D model, H heads, G key/value heads, K head dim, I = K / 2 rotary
pairs, F feed-forward, V vocabulary; N is any number.

Sources: Touvron et al. 2023 (LLaMA), section 2.2, and those named at the formulas.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and a module has to be an nn.Module.

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from reference_model.alibi import linear_bias
from reference_model.answers import Cache, LayerCache, Output
from reference_model.config import ModelConfig  # noqa: TC001  # a name of this module's, too
from reference_model.config_rules import validate
from reference_model.filling import filled
from reference_model.huggingface import open_folder
from reference_model.moe import feed_forward
from reference_model.norms import at_least_float32, block_norm, head_norm
from reference_model.rotary import Rotary, Unturned

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from reference_model.config import Attention as AttentionShape
    from reference_model.config import Rope


class Attention(nn.Module):
    """Causal self-attention with shared key/value heads (Ainslie et al. 2023, section 2.2)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.shape = config.attention
        queries = self.shape.heads * self.shape.head_dim
        keys = self.shape.kv_heads * self.shape.head_dim
        bias = self.shape.qkv_bias
        self.q_proj = nn.Linear(config.dim, queries, bias=bias)
        self.k_proj = nn.Linear(config.dim, keys, bias=bias)
        self.v_proj = nn.Linear(config.dim, keys, bias=bias)
        self.o_proj = nn.Linear(queries, config.dim, bias=self.shape.out_bias)
        self.q_norm, self.k_norm = head_norm(config), head_norm(config)
        # Without sinks there is no tensor of that name.
        self.sinks = nn.Parameter(torch.empty(self.shape.heads)) if self.shape.sinks else None
        self.rope = config.rope_of(layer)
        self.rotary = Rotary(self.rope, self.shape.head_dim) if self.rope else Unturned()

    def forward(
        self,
        x_BTD: Tensor,
        allowed_B1TS: Tensor,
        phases: tuple[Tensor, Tensor],
        past: LayerCache | None,
    ) -> tuple[Tensor, LayerCache]:
        """Return what attention adds to the residual stream, (B, T, D), and the longer cache."""
        # LOGITS-001: heads are normalised before they are turned.
        q_BHTK = self.rotary(self.q_norm(self.split(self.q_proj(x_BTD))), phases)
        k_BGTK = self.rotary(self.k_norm(self.split(self.k_proj(x_BTD))), phases)
        v_BGTK = self.split(self.v_proj(x_BTD))
        # CACHE-001: the cache holds rotated keys and plain values, oldest first; new ones follow.
        cache = LayerCache(k_BGTK, v_BGTK) if past is None else extend(past, k_BGTK, v_BGTK)
        k_BHSK = repeat_heads(cache.k_BGSK, self.shape.heads)
        v_BHSK = repeat_heads(cache.v_BGSK, self.shape.heads)
        out_BHTK = attend(q_BHTK, k_BHSK, v_BHSK, allowed_B1TS, self.shape, self.sinks)
        return self.o_proj(out_BHTK.transpose(1, 2).flatten(2)), cache

    def split(self, x_BTN: Tensor) -> Tensor:
        """Cut projected vectors into heads: (B, T, heads * K) to (B, heads, T, K)."""
        return x_BTN.unflatten(-1, (-1, self.shape.head_dim)).transpose(1, 2)


def extend(past: LayerCache, k_BGTK: Tensor, v_BGTK: Tensor) -> LayerCache:
    """Return a new cache with the new keys and values behind the past ones."""
    return LayerCache(
        torch.cat((past.k_BGSK, k_BGTK), dim=2), torch.cat((past.v_BGSK, v_BGTK), dim=2)
    )


def repeat_heads(x_BGSK: Tensor, heads: int) -> Tensor:
    """Return the key or value that each query head reads, (B, H, S, K)."""
    # ATTN-003: query head h reads key/value head h // (H / G): each is repeated H / G times in
    # place (0 0 0 1 1 1), the row of heads is not tiled (0 1 0 1 0 1).
    return x_BGSK.repeat_interleave(heads // x_BGSK.shape[1], dim=1)


def attend(
    q_BHTK: Tensor,
    k_BHSK: Tensor,
    v_BHSK: Tensor,
    allowed_B1TS: Tensor,
    shape: AttentionShape,
    sinks_H: Tensor | None = None,
) -> Tensor:
    """Return scaled dot-product attention, (B, H, T, K) (Vaswani et al. 2017, eq. 1)."""
    # ATTN-002: scores are divided by the root of the head dim, whatever H * K and D are, unless
    # the model names another number.
    scores_BHTS = q_BHTK @ k_BHSK.transpose(2, 3) / math.sqrt(shape.score_dim)
    scores_BHTS = at_least_float32(scores_BHTS)
    # LOGITS-001: scores are capped after the scale and before the mask.
    scores_BHTS = capped(scores_BHTS, shape.softcap)
    if shape.alibi:
        # LOGITS-001: added behind the scale, which does not divide it, and in at least float32.
        scores_BHTS = scores_BHTS + linear_bias(allowed_B1TS, shape.heads, scores_BHTS.dtype)
    # ATTN-004: a masked key has no influence: its score is the type's smallest finite number, so
    # its weight is exactly 0. Not minus infinity: a left-padded row sees no key at all, would be
    # 0 / 0 = NaN, and would poison the real tokens, which weigh its NaN value with 0: 0 * NaN.
    smallest = torch.finfo(scores_BHTS.dtype).min
    scores_BHTS = torch.where(allowed_B1TS, scores_BHTS, smallest)
    # SOFTMAX-001: exp(s) / sum exp(s) over the keys, in at least float32; then the model's type.
    weights_BHTS = weights_of(scores_BHTS, sinks_H).to(v_BHSK.dtype)
    return weights_BHTS @ v_BHSK


def weights_of(scores_BHTS: Tensor, sinks_H: Tensor | None) -> Tensor:
    """Return the softmax over the keys, (B, H, T, S), and over each head's sink where it has one.

    Source: Xiao et al. 2024, section 3; openai/gpt-oss, function ``sdpa``.
    """
    if sinks_H is None:
        return torch.softmax(scores_BHTS, dim=-1)
    # ATTN-020: the sink is one more logit of its head, not scaled and seen by every query; it takes
    # weight and has no value, so that what the keys get adds up to less than 1.
    sinks_1H11 = sinks_H.to(scores_BHTS.dtype).reshape(1, -1, 1, 1)
    sinks_BHT1 = sinks_1H11.expand(scores_BHTS.shape[0], -1, scores_BHTS.shape[2], -1)
    return torch.softmax(torch.cat((scores_BHTS, sinks_BHT1), dim=-1), dim=-1)[..., :-1]


def capped(x: Tensor, cap: float | None) -> Tensor:
    """Return ``x`` bent softly so that it stays within ``cap``: cap tanh(x / cap)."""
    return x if cap is None else cap * torch.tanh(x / cap)


def allowed_keys(attention_mask_BS: Tensor, tokens: int) -> Tensor:
    """Return which key each of the last ``tokens`` of S may see: bool (B, 1, T, S)."""
    keys = attention_mask_BS.shape[1]
    slot_S = torch.arange(keys, device=attention_mask_BS.device)
    # ATTN-001: a token sees itself and earlier slots. With a cache, token t of this call is slot
    # S - T + t: the triangle is aligned at its bottom right.
    causal_TS = slot_S <= slot_S[keys - tokens :].unsqueeze(1)
    return causal_TS & (attention_mask_BS != 0).unsqueeze(1).unsqueeze(1)


def within_documents(allowed_B1TS: Tensor, document_ids_BT: Tensor) -> Tensor:
    """Return which of the allowed keys are of a query's own document: bool (B, 1, T, T)."""
    # PACK-001: of the documents that share a row none sees another.
    same_BTT = document_ids_BT.unsqueeze(2) == document_ids_BT.unsqueeze(1)
    return allowed_B1TS & same_BTT.unsqueeze(1)


def keys_of_layer(attention: AttentionShape, layer: int, allowed_B1TS: Tensor) -> Tensor:
    """Return which of the allowed keys each token sees in one layer: bool (B, 1, T, S)."""
    window = attention.window_of(layer)
    return allowed_B1TS if window is None else in_window(allowed_B1TS, window)


def in_window(allowed_B1TS: Tensor, window: int) -> Tensor:
    """Return which of the allowed keys stand in a query's window: bool (B, 1, T, S)."""
    # LOGITS-001: the window counts the query itself, in slots: keys 0 to window - 1 slots behind.
    # Gaps of the positions and hidden tokens do not make it wider.
    tokens, keys = allowed_B1TS.shape[-2:]
    slot_S = torch.arange(keys, device=allowed_B1TS.device)
    behind_TS = slot_S[keys - tokens :].unsqueeze(1) - slot_S
    return allowed_B1TS & (behind_TS < window)


class Block(nn.Module):
    """One layer: attention and feed-forward, each normalised before and added to the stream.

    With ``post_norms`` each is normalised behind, too (Gemma Team 2024, section 2).
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.sandwich = config.post_norms
        self.input_layernorm = block_norm(config)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = block_norm(config)
        if self.sandwich:
            self.pre_feedforward_layernorm = block_norm(config)
            self.post_feedforward_layernorm = block_norm(config)
        self.mlp = feed_forward(config.dim, config.mlp, layer)

    def forward(
        self,
        x_BTD: Tensor,
        allowed_B1TS: Tensor,
        phases: tuple[Tensor, Tensor],
        past: LayerCache | None,
    ) -> tuple[Tensor, Tensor, LayerCache]:
        """Return what attention adds, what the feed-forward adds, and the longer cache."""
        attention_BTD, cache = self.self_attn(
            self.input_layernorm(x_BTD), allowed_B1TS, phases, past
        )
        if not self.sandwich:  # then the norm of this name stands before the feed-forward
            mlp_BTD = self.mlp(self.post_attention_layernorm(x_BTD + attention_BTD))
            return attention_BTD, mlp_BTD, cache
        # LOGITS-001: what is added to the stream is normalised, and the stream is not.
        attention_BTD = self.post_attention_layernorm(attention_BTD)
        mlp_BTD = self.mlp(self.pre_feedforward_layernorm(x_BTD + attention_BTD))
        return attention_BTD, self.post_feedforward_layernorm(mlp_BTD), cache


class Trunk(nn.Module):
    """The decoder without its head; a class of its own because its tensors are named ``model.``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab, config.dim)
        if config.learned_positions:
            self.embed_positions = nn.Embedding(config.max_positions, config.dim)
        if config.embedding_norm:
            self.embed_norm = block_norm(config)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = block_norm(config)

    def phases(
        self, position_ids_BT: Tensor, dtype: torch.dtype
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return the cosines and sines of every layer, those of layers that turn alike once."""
        found: dict[Rope | None, tuple[Tensor, Tensor]] = {}
        for attention in (block.self_attn for block in self.layers):
            if attention.rope not in found:
                found[attention.rope] = attention.rotary.phases(position_ids_BT, dtype)
        return tuple(found[block.self_attn.rope] for block in self.layers)


class Decoder(nn.Module):
    """A Llama decoder without weights; ``build_decoder`` and ``load_decoder`` give it some.

    Raises:
        ValueError: the config contradicts itself.
    """

    def __init__(self, config: ModelConfig) -> None:
        validate(config)
        super().__init__()
        self.config = config
        self.model = Trunk(config)
        if not config.tied:
            self.lm_head = nn.Linear(config.dim, config.vocab, bias=False)

    def forward(
        self,
        input_ids_BT: Tensor,
        attention_mask_BS: Tensor,
        position_ids_BT: Tensor,
        cache: Cache | None = None,
        taps: bool = False,  # noqa: FBT001, FBT002  # a switch of an nn.Module's call
        document_ids_BT: Tensor | None = None,
    ) -> Output:
        """Return the logits of every token, and the cache with these tokens in it.

        Args:
            input_ids_BT: int64 token ids of this call.
            attention_mask_BS: 1 where a key may be seen, for the past tokens and these.
            position_ids_BT: int64 positions of these tokens.
            cache: what the call for the past tokens returned; without, there are none.
            taps: whether to return the inner states, too.
            document_ids_BT: the document of each token, where rows are packed of several; they
                begin here, without a cache.
        """
        x_BTD = self.embed(input_ids_BT, position_ids_BT)
        allowed_B1TS = allowed_keys(attention_mask_BS, input_ids_BT.shape[1])
        if document_ids_BT is not None:
            allowed_B1TS = within_documents(allowed_B1TS, document_ids_BT)
        phases = self.model.phases(position_ids_BT, x_BTD.dtype)
        seen = {"embedding": x_BTD}
        longer = []
        for i, block in enumerate(self.model.layers):
            past = None if cache is None else cache[i]
            seen_B1TS = keys_of_layer(self.config.attention, i, allowed_B1TS)
            attention_BTD, mlp_BTD, layer_cache = block(x_BTD, seen_B1TS, phases[i], past)
            x_BTD = x_BTD + attention_BTD + mlp_BTD
            longer.append(layer_cache)
            seen |= {f"layer.{i}.attention": attention_BTD, f"layer.{i}.mlp": mlp_BTD}
            seen[f"layer.{i}"] = x_BTD
        seen["norm"] = normed_BTD = self.model.norm(x_BTD)
        return Output(self.head(normed_BTD), tuple(longer), seen if taps else {})

    def embed(self, input_ids_BT: Tensor, position_ids_BT: Tensor) -> Tensor:
        """Return the rows of tokens, (B, T, D), and what the model does to them before its layers.

        Rows of positions are added where they are learned.
        """
        # EMBED-001: a token's row is copied as it is; nothing scales it but what the model names.
        x_BTD = self.model.embed_tokens(input_ids_BT)
        if self.config.embedding_scale != 1:
            # LOGITS-001: the factor is a number of the embedding's type, like a weight: the root of
            # 3072 is 55.5 in bfloat16, and that is what such a model was trained with.
            x_BTD = x_BTD * torch.tensor(self.config.embedding_scale, dtype=x_BTD.dtype)
        if self.config.learned_positions:
            # ROPE-003: the position is the given one, and not the place in the batch. One beyond
            # the last has no vector, and is refused.
            x_BTD = x_BTD + self.model.embed_positions(position_ids_BT)
        # LOGITS-001: the stream begins with what the norm makes of the rows; the head reads rows.
        return self.model.embed_norm(x_BTD) if self.config.embedding_norm else x_BTD

    def head(self, x_BTD: Tensor) -> Tensor:
        """Return the logits, (B, T, V)."""
        # LOGITS-001: a plain product with the head, or with the embedding where the two are tied;
        # no bias, no scale, and no cap but what the model names.
        head = self.model.embed_tokens if self.config.tied else self.lm_head
        logits_BTV = nn.functional.linear(x_BTD, head.weight)
        return capped(logits_BTV, self.config.logit_softcap)


def build_decoder(
    config: ModelConfig,
    weights: Mapping[str, NDArray[Any]],
    dtype: torch.dtype = torch.float32,
) -> Decoder:
    """Return a decoder with the given weights, each rounded once to ``dtype``.

    Raises:
        RuntimeError: a tensor is missing, superfluous or of another shape.
        ValueError: the config contradicts itself.
    """
    decoder: Decoder = filled(lambda: Decoder(config), weights, dtype)
    return decoder


def load_decoder(folder: Path, dtype: torch.dtype = torch.float32) -> Decoder:
    """Return the decoder of a model package.

    Raises:
        ConfigError: the folder is no decoder that ``huggingface.open_folder`` understands.
    """
    return build_decoder(*open_folder(folder), dtype=dtype)
