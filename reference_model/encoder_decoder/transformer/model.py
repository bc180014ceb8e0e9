"""What the original Transformer computes, to be read from top to bottom. Not made to be fast.

One path, eager, as of T5's shape (``encoder_decoder.model``): all targets at once are one step on
an empty cache. Conventions that differ between implementations carry the id of their requirement.

Parameters have Hugging Face's tensor names, without ``model.``. Shape suffixes: B batch, S source
tokens (or keys), T target tokens (or queries), D model, H heads, K head dim, V vocabulary.

Sources: Vaswani et al. 2017, section 3; Ba et al. 2016, eq. 4; Press and Wolf 2017 (the head).
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and a module has to be an nn.Module.

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from reference_model.encoder_decoder.cache import KeysValues, TargetCache
from reference_model.encoder_decoder.model import activated, earlier_keys, visible_keys
from reference_model.encoder_decoder.transformer.config import EPS, validate
from reference_model.norms import at_least_float32

if TYPE_CHECKING:
    from reference_model.encoder_decoder.transformer.config import Side, TransformerConfig


def sinusoids(places: int, dim: int) -> Tensor:
    """Return what is added to the embedding at each place from 0 on: float64 (places, D)."""
    # SEQ-001: all sines, then all cosines. The paper has them in turns, which is another order of
    # the channels; checkpoints are of this one.
    rates_N = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles_TN = torch.arange(places, dtype=torch.float64).unsqueeze(1) * rates_N
    return torch.cat([angles_TN.sin(), angles_TN.cos()], dim=1)


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016, eq. 4), with gain and bias."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Normalise each token's vector, (B, T, D), in at least float32."""
        wide_BTD = at_least_float32(x_BTD)
        centred_BTD = wide_BTD - wide_BTD.mean(-1, keepdim=True)
        # SEQ-001: the variance divides by D, and epsilon is added to it inside the root.
        variance_BT1 = (centred_BTD * centred_BTD).mean(-1, keepdim=True)
        normed_BTD = centred_BTD / torch.sqrt(variance_BT1 + EPS)
        scaled_BTD = normed_BTD * at_least_float32(self.weight) + at_least_float32(self.bias)
        return scaled_BTD.to(x_BTD.dtype)


def attend(q_BHTK: Tensor, read: KeysValues, visible: Tensor) -> Tensor:
    """Return scaled dot-product attention, (B, H, T, K), of the keys that ``visible`` shows."""
    scores_BHTS = at_least_float32(q_BHTK @ read.keys_BHSK.transpose(2, 3))
    # SEQ-001: divided by the root of the head dim.
    scores_BHTS = scores_BHTS / math.sqrt(q_BHTK.shape[-1])
    # SEQ-006: a hidden key's weight is 0. The smallest finite number and not minus infinity: a row
    # of padding alone would be NaN.
    scores_BHTS = torch.where(visible, scores_BHTS, torch.finfo(scores_BHTS.dtype).min)
    return torch.softmax(scores_BHTS, dim=-1).to(q_BHTK.dtype) @ read.values_BHSK


class Attention(nn.Module):
    """Queries, keys, values and output, each with a bias."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.head_dim = dim // heads
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def reads(self, x_BSD: Tensor) -> KeysValues:
        """Return keys and values of tokens."""
        return KeysValues(self._heads(self.k_proj(x_BSD)), self._heads(self.v_proj(x_BSD)))

    def forward(self, x_BTD: Tensor, read: KeysValues, visible: Tensor) -> Tensor:
        """Return what is added to the stream, (B, T, D)."""
        read_BHTK = attend(self._heads(self.q_proj(x_BTD)), read, visible)
        return self.out_proj(read_BHTK.transpose(1, 2).flatten(2))

    def _heads(self, y_BTD: Tensor) -> Tensor:
        return y_BTD.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


class Layer(nn.Module):
    """One layer of a stack: each part is added to the stream, and the sum is normalised."""

    def __init__(self, config: TransformerConfig, side: Side, *, crossing: bool) -> None:
        super().__init__()
        dim = config.dim
        self.activation = config.activation
        self.self_attn = Attention(dim, side.heads)
        self.self_attn_layer_norm = LayerNorm(dim)
        if crossing:
            self.encoder_attn = Attention(dim, side.heads)
            self.encoder_attn_layer_norm = LayerNorm(dim)
        self.fc1 = nn.Linear(dim, side.hidden)
        self.fc2 = nn.Linear(side.hidden, dim)
        self.final_layer_norm = LayerNorm(dim)

    def attended(
        self, x_BTD: Tensor, visible: Tensor, past: KeysValues | None = None
    ) -> tuple[Tensor, KeysValues]:
        """Return the stream behind attention to itself, and what the tokens so far are read by."""
        read = self.self_attn.reads(x_BTD)
        if past is not None:
            # SEQ-011: what a step adds stands behind what was there.
            read = KeysValues(*(torch.cat(both, dim=2) for both in zip(past, read, strict=True)))
        # SEQ-001: the norm is of the sum, here and below: nothing passes beside it.
        return self.self_attn_layer_norm(x_BTD + self.self_attn(x_BTD, read, visible)), read

    def crossed(self, x_BTD: Tensor, source: KeysValues, visible_B11S: Tensor) -> Tensor:
        """Return the stream behind attention to the source, (B, T, D)."""
        return self.encoder_attn_layer_norm(x_BTD + self.encoder_attn(x_BTD, source, visible_B11S))

    def fed(self, x_BTD: Tensor) -> Tensor:
        """Return the stream behind the feed-forward, (B, T, D)."""
        return self.final_layer_norm(x_BTD + self.fc2(activated(self.fc1(x_BTD), self.activation)))


class Stack(nn.Module):
    """The layers of one side. There is no norm behind the last one's own."""

    def __init__(self, config: TransformerConfig, side: Side, *, crossing: bool) -> None:
        super().__init__()
        layers = (Layer(config, side, crossing=crossing) for _ in range(side.layers))
        self.layers = nn.ModuleList(layers)


class Transformer(nn.Module):
    """The original Transformer without weights; ``loading`` gives it some.

    Raises:
        ValueError: the config contradicts itself.
    """

    def __init__(self, config: TransformerConfig) -> None:
        validate(config)
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab, config.dim)
        self.encoder = Stack(config, config.encoder, crossing=False)
        self.decoder = Stack(config, config.decoder, crossing=True)
        self.final_logits_bias = nn.Parameter(torch.empty(1, config.vocab))
        # A table, rounded once: an angle of several turns has no accurate sine in float32.
        places_PD = sinusoids(config.max_positions, config.dim)
        self.register_buffer("places_PD", places_PD, persistent=False)

    def embedded(self, ids_BT: Tensor, past: int = 0) -> Tensor:
        """Return the embedded tokens behind ``past`` others, (B, T, D)."""
        # SEQ-001: the embedding is made larger by sqrt(D), and places count from 0, hidden ones too
        # (SEQ-011: in a step, from what the cache holds).
        slots_T = torch.arange(past, past + ids_BT.shape[1], device=ids_BT.device)
        places_TD = nn.functional.embedding(slots_T, self.places_PD)
        return self.shared(ids_BT) * math.sqrt(self.config.dim) + places_TD

    def encode(self, input_ids_BS: Tensor, attention_mask_BS: Tensor) -> Tensor:
        """Return the encoded source, (B, S, D); mask 1 shows a token."""
        x_BSD, visible_B11S = self.embedded(input_ids_BS), visible_keys(attention_mask_BS)
        for layer in self.encoder.layers:
            x_BSD = layer.fed(layer.attended(x_BSD, visible_B11S)[0])
        return x_BSD

    def start(self, encoded_BSD: Tensor, attention_mask_BS: Tensor) -> TargetCache:
        """Return a cache of no target token, with keys and values of the source."""
        # SEQ-012: of this source, and computed once.
        source = tuple(layer.encoder_attn.reads(encoded_BSD) for layer in self.decoder.layers)
        return TargetCache(source, visible_keys(attention_mask_BS), ())

    def step(self, target_ids_BT: Tensor, cache: TargetCache) -> tuple[Tensor, TargetCache]:
        """Return the logits of more target tokens, (B, T, V), and the cache behind them."""
        tokens = target_ids_BT.shape[1]
        past = cache.own[0].keys_BHSK.shape[2] if cache.own else 0
        x_BTD = self.embedded(target_ids_BT, past)
        visible_TS = earlier_keys(tokens, past + tokens, target_ids_BT.device)
        own, kept = cache.own or (None,) * len(cache.source), []
        for layer, source, before in zip(self.decoder.layers, cache.source, own, strict=True):
            x_BTD, read = layer.attended(x_BTD, visible_TS, before)
            kept.append(read)
            x_BTD = layer.fed(layer.crossed(x_BTD, source, cache.visible_B11S))
        return self.head(x_BTD), cache._replace(own=tuple(kept))

    def head(self, x_BTD: Tensor) -> Tensor:
        """Return the logits of the decoder's stream, (B, T, V)."""
        # SEQ-002: the head is the embedding, not scaled; each token has a bias besides.
        return nn.functional.linear(x_BTD, self.shared.weight) + self.final_logits_bias

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
