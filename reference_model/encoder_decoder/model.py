"""What an encoder-decoder of T5's shape computes, to be read from top to bottom. Not made fast.

One path, eager, as the decoder's (``reference_model.model``): all targets at once are one step on
an empty cache. ``double()`` makes every step float64. Conventions that differ between
implementations carry the id of their requirement.

Parameters have Hugging Face's tensor names. Shape suffixes: B batch, S source tokens (or keys), T
target tokens (or queries), D model, H heads, K head dim, F feed-forward, V vocabulary.

Sources: Raffel et al. 2020 (T5), section 2.1; Vaswani et al. 2017, section 3; and those named at
the formulas.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and a module has to be an nn.Module.

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_model import mlp
from reference_model.encoder_decoder.buckets import bucket_of
from reference_model.encoder_decoder.cache import KeysValues, TargetCache
from reference_model.encoder_decoder.config import EncoderDecoderConfig, validate
from reference_model.norms import at_least_float32


class RMSNorm(nn.Module):
    """Root mean square normalisation (Zhang and Sennrich 2019, eq. 4): T5's LayerNorm."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.empty(config.dim))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Normalise each token's vector, (B, T, D), in at least float32."""
        wide_BTD = at_least_float32(x_BTD)
        # SEQ-001: no mean is subtracted, nothing is added, and epsilon stands inside the root.
        mean_square_BT1 = (wide_BTD * wide_BTD).mean(-1, keepdim=True)
        normed_BTD = wide_BTD / torch.sqrt(mean_square_BT1 + self.eps)
        return (normed_BTD * at_least_float32(self.weight)).to(x_BTD.dtype)


def visible_keys(attention_mask_BS: Tensor) -> Tensor:
    """Return which tokens of the source every query sees: bool (B, 1, 1, S)."""
    # SEQ-009: all that the mask shows, on both sides of a query, and from every target token.
    return (attention_mask_BS != 0).unsqueeze(1).unsqueeze(1)


def earlier_keys(queries: int, keys: int, device: torch.device) -> Tensor:
    """Return which target tokens each of the last ``queries`` sees: bool (T, S)."""
    # SEQ-008: itself and those before it.
    place_T = torch.arange(keys - queries, keys, device=device)
    return torch.arange(keys, device=device) <= place_T.unsqueeze(1)


def attend(q_BHTK: Tensor, read: KeysValues, bias_HTS: Tensor | None, visible: Tensor) -> Tensor:
    """Return dot-product attention, (B, H, T, K), of the keys that ``visible`` shows."""
    # SEQ-001: scores are not divided by sqrt(K); training absorbs it in the weights.
    scores_BHTS = at_least_float32(q_BHTK @ read.keys_BHSK.transpose(2, 3))
    if bias_HTS is not None:
        scores_BHTS = scores_BHTS + at_least_float32(bias_HTS)
    # SEQ-006: a hidden key has no influence at all, whatever stands there: its weight is 0. The
    # smallest finite number and not minus infinity: a row of padding alone would be NaN.
    smallest = torch.finfo(scores_BHTS.dtype).min
    scores_BHTS = torch.where(visible, scores_BHTS, smallest)
    return torch.softmax(scores_BHTS, dim=-1).to(q_BHTK.dtype) @ read.values_BHSK


class Attention(nn.Module):
    """Queries, keys, values and output of one layer, without biases; with a table where first."""

    def __init__(self, config: EncoderDecoderConfig, *, table: bool = False) -> None:
        super().__init__()
        inner = config.heads * config.head_dim
        self.head_dim, self.buckets = config.head_dim, config.buckets
        self.q = nn.Linear(config.dim, inner, bias=False)
        self.k = nn.Linear(config.dim, inner, bias=False)
        self.v = nn.Linear(config.dim, inner, bias=False)
        self.o = nn.Linear(inner, config.dim, bias=False)
        if table:
            self.relative_attention_bias = nn.Embedding(config.buckets.count, config.heads)

    def bias(self, queries: int, keys: int, *, causal: bool) -> Tensor:
        """Return what is added to the scores of the last ``queries`` tokens, (H, T, S)."""
        # SEQ-003: by the key's place less the query's, wherever in a cache the queries stand.
        where = self.q.weight.device
        place_T = torch.arange(keys - queries, keys, device=where)
        ahead_TS = torch.arange(keys, device=where) - place_T.unsqueeze(1)
        rows_TS = bucket_of(ahead_TS, self.buckets, causal=causal)
        return self.relative_attention_bias(rows_TS).permute(2, 0, 1)

    def reads(self, x_BSD: Tensor) -> KeysValues:
        """Return keys and values of tokens."""
        return KeysValues(self._heads(self.k(x_BSD)), self._heads(self.v(x_BSD)))

    def forward(
        self, x_BTD: Tensor, read: KeysValues, bias_HTS: Tensor | None, visible: Tensor
    ) -> Tensor:
        """Return what is added to the stream, (B, T, D)."""
        read_BHTK = attend(self._heads(self.q(x_BTD)), read, bias_HTS, visible)
        return self.o(read_BHTK.transpose(1, 2).flatten(2))

    def _heads(self, y_BTN: Tensor) -> Tensor:
        return y_BTN.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


class SelfLayer(nn.Module):
    """Attention of a stack to itself, normalised before."""

    def __init__(self, config: EncoderDecoderConfig, *, table: bool) -> None:
        super().__init__()
        self.SelfAttention = Attention(config, table=table)
        self.layer_norm = RMSNorm(config)

    def forward(
        self, x_BTD: Tensor, bias_HTS: Tensor, visible: Tensor, past: KeysValues | None = None
    ) -> tuple[Tensor, KeysValues]:
        """Return the stream, (B, T, D), and what the tokens so far are read by."""
        normed_BTD = self.layer_norm(x_BTD)
        read = self.SelfAttention.reads(normed_BTD)
        if past is not None:
            # SEQ-011: what a step adds stands behind what was there.
            read = KeysValues(*(torch.cat(both, dim=2) for both in zip(past, read, strict=True)))
        return x_BTD + self.SelfAttention(normed_BTD, read, bias_HTS, visible), read


class CrossLayer(nn.Module):
    """Attention of the target to the source, normalised before."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.EncDecAttention = Attention(config)
        self.layer_norm = RMSNorm(config)

    def forward(self, x_BTD: Tensor, source: KeysValues, visible_B11S: Tensor) -> Tensor:
        """Return the stream, (B, T, D)."""
        # SEQ-002: no bias of distances: places of the source and of the target are none's.
        return x_BTD + self.EncDecAttention(self.layer_norm(x_BTD), source, None, visible_B11S)


def activated(x: Tensor, activation: str) -> Tensor:
    """Return units by the name of their activation in the config, of any shape.

    A function of its own, so that mutants can stand in its place, here and in ``transformer``.
    """
    return mlp.activation(activation)(x)


class FeedForward(nn.Module):
    """Units, gated or not (Shazeer 2020, eq. 5), without biases."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.activation = config.activation
        for name in ("wi_0", "wi_1") if config.gated else ("wi",):
            setattr(self, name, nn.Linear(config.dim, config.hidden, bias=False))
        self.wo = nn.Linear(config.hidden, config.dim, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return what is added to the stream, (B, T, D)."""
        if hasattr(self, "wi"):
            return self.wo(activated(self.wi(x_BTD), self.activation))
        # SEQ-001: the first product is activated, and the second gates it.
        return self.wo(activated(self.wi_0(x_BTD), self.activation) * self.wi_1(x_BTD))


class FeedForwardLayer(nn.Module):
    """The feed-forward, normalised before."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.DenseReluDense = FeedForward(config)
        self.layer_norm = RMSNorm(config)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the stream, (B, T, D)."""
        return x_BTD + self.DenseReluDense(self.layer_norm(x_BTD))


class Block(nn.Module):
    """One layer of a stack; ``layer`` is the name of its parts' tensors."""

    def __init__(self, config: EncoderDecoderConfig, *, crossing: bool, first: bool) -> None:
        super().__init__()
        parts = [SelfLayer(config, table=first), FeedForwardLayer(config)]
        if crossing:
            parts.insert(1, CrossLayer(config))
        self.layer = nn.ModuleList(parts)


class Stack(nn.Module):
    """The layers of one side, and the norm behind them."""

    def __init__(self, config: EncoderDecoderConfig, layers: int, *, crossing: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            Block(config, crossing=crossing, first=i == 0) for i in range(layers)
        )
        self.final_layer_norm = RMSNorm(config)

    def bias(self, queries: int, keys: int, *, causal: bool) -> Tensor:
        """Return the bias of all layers, (H, T, S)."""
        # SEQ-001: the first layer's table is that of them all; each stack has one of its own.
        return self.block[0].layer[0].SelfAttention.bias(queries, keys, causal=causal)


class EncoderDecoder(nn.Module):
    """An encoder-decoder without weights; ``loading`` gives it some.

    Raises:
        ValueError: the config contradicts itself.
    """

    def __init__(self, config: EncoderDecoderConfig) -> None:
        validate(config)
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab, config.dim)
        self.encoder = Stack(config, config.encoder_layers, crossing=False)
        self.decoder = Stack(config, config.decoder_layers, crossing=True)
        if not config.tied:
            self.lm_head = nn.Linear(config.dim, config.vocab, bias=False)

    def encode(self, input_ids_BS: Tensor, attention_mask_BS: Tensor) -> Tensor:
        """Return the encoded source, (B, S, D); mask 1 shows a token."""
        x_BSD, tokens = self.shared(input_ids_BS), input_ids_BS.shape[1]
        bias_HSS = self.encoder.bias(tokens, tokens, causal=False)
        visible_B11S = visible_keys(attention_mask_BS)
        for block in self.encoder.block:
            attention, feed_forward = block.layer
            x_BSD = feed_forward(attention(x_BSD, bias_HSS, visible_B11S)[0])
        return self.encoder.final_layer_norm(x_BSD)

    def start(self, encoded_BSD: Tensor, attention_mask_BS: Tensor) -> TargetCache:
        """Return a cache of no target token, with keys and values of the source."""
        # SEQ-012: of this source, and computed once.
        crossing = [block.layer[1].EncDecAttention for block in self.decoder.block]
        source = tuple(attention.reads(encoded_BSD) for attention in crossing)
        return TargetCache(source, visible_keys(attention_mask_BS), ())

    def step(self, target_ids_BT: Tensor, cache: TargetCache) -> tuple[Tensor, TargetCache]:
        """Return the logits of more target tokens, (B, T, V), and the cache behind them."""
        x_BTD, tokens = self.shared(target_ids_BT), target_ids_BT.shape[1]
        own = cache.own or (None,) * len(cache.source)
        keys = tokens + (cache.own[0].keys_BHSK.shape[2] if cache.own else 0)
        bias_HTS = self.decoder.bias(tokens, keys, causal=True)
        visible_TS = earlier_keys(tokens, keys, target_ids_BT.device)
        kept = []
        for block, source, past in zip(self.decoder.block, cache.source, own, strict=True):
            attention, crossing, feed_forward = block.layer
            x_BTD, read = attention(x_BTD, bias_HTS, visible_TS, past)
            kept.append(read)
            x_BTD = feed_forward(crossing(x_BTD, source, cache.visible_B11S))
        logits_BTV = self.head(self.decoder.final_layer_norm(x_BTD))
        return logits_BTV, cache._replace(own=tuple(kept))

    def head(self, x_BTD: Tensor) -> Tensor:
        """Return the logits of the decoder's normalised stream, (B, T, V)."""
        if not self.config.tied:
            return self.lm_head(x_BTD)
        # SEQ-002: the embedding is not as small as a head is, so that its input is made smaller.
        return nn.functional.linear(x_BTD * self.config.dim**-0.5, self.shared.weight)

    def forward(
        self, input_ids_BS: Tensor, attention_mask_BS: Tensor, decoder_input_ids_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the encoded source, (B, S, D), and the logits of a given target, (B, T, V).

        Args:
            input_ids_BS: int64 token ids of the source.
            attention_mask_BS: 1 where a token of the source may be seen.
            decoder_input_ids_BT: int64 token ids of the target, which begin with its start.
        """
        encoded_BSD = self.encode(input_ids_BS, attention_mask_BS)
        cache = self.start(encoded_BSD, attention_mask_BS)
        return encoded_BSD, self.step(decoder_input_ids_BT, cache)[0]
