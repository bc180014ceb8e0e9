"""What an encoder of BERT's shape computes, to be read from top to bottom. Not made to be fast.

One path, eager, as the decoder's (``reference_model.model``); ``double()`` makes every step
float64. Conventions that differ between implementations carry the id of their requirement.

Parameters have Hugging Face's tensor names. Shape suffixes: B batch, T tokens, S keys, D model, H
heads, K head dim, F feed-forward, V vocabulary.

Sources: Devlin et al. 2019 (BERT), section 3 and appendix A; Vaswani et al. 2017, section 3; and
those named at the formulas.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and a module has to be an nn.Module.

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from reference_model.encoder.config import EncoderConfig, validate
from reference_model.encoder.huggingface import open_folder
from reference_model.filling import filled
from reference_model.norms import at_least_float32

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray


class EncoderOutput(NamedTuple):
    """What an encoder answers; None for a part that it lacks."""

    hidden_BTD: Tensor
    pooled_BD: Tensor | None
    logits_BTV: Tensor | None


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016, eq. 4)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.empty(config.dim))
        self.bias = nn.Parameter(torch.empty(config.dim))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Normalise each token's vector, (B, T, D), in at least float32."""
        wide_BTD = at_least_float32(x_BTD)
        centred_BTD = wide_BTD - wide_BTD.mean(-1, keepdim=True)
        # ENC-001: the variance divides by D, and epsilon is added to it inside the root.
        variance_BT1 = (centred_BTD * centred_BTD).mean(-1, keepdim=True)
        normed_BTD = centred_BTD / torch.sqrt(variance_BT1 + self.eps)
        scaled_BTD = normed_BTD * at_least_float32(self.weight) + at_least_float32(self.bias)
        return scaled_BTD.to(x_BTD.dtype)


class Embeddings(nn.Module):
    """Word, position and token type, added up and normalised (Devlin et al. 2019, figure 2)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab, config.dim)
        self.position_embeddings = nn.Embedding(config.max_positions, config.dim)
        self.token_type_embeddings = nn.Embedding(config.types, config.dim)
        self.LayerNorm = LayerNorm(config)

    def forward(self, input_ids_BT: Tensor, token_type_ids_BT: Tensor) -> Tensor:
        """Return the embedded tokens, (B, T, D)."""
        x_BTD = self.word_embeddings(input_ids_BT) + self.token_type_embeddings(token_type_ids_BT)
        return self.LayerNorm(x_BTD + self.position_embeddings(positions(input_ids_BT)))


def positions(input_ids_BT: Tensor) -> Tensor:
    """Return each token's position, (1, T)."""
    # ENC-013: slots from 0 on, whatever the mask hides: not from 1, nor from behind the padding
    # token as RoBERTa's (Liu et al. 2019).
    return torch.arange(input_ids_BT.shape[1], device=input_ids_BT.device).unsqueeze(0)


def visible_keys(attention_mask_BS: Tensor) -> Tensor:
    """Return which keys every query sees: bool (B, 1, 1, S)."""
    # ENC-006: all that the mask shows, on both sides of the query.
    return (attention_mask_BS != 0).unsqueeze(1).unsqueeze(1)


def attend(q_BHTK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, visible_B11S: Tensor) -> Tensor:
    """Return scaled dot-product attention, (B, H, T, K) (Vaswani et al. 2017, eq. 1)."""
    scores_BHTS = q_BHTK @ k_BHSK.transpose(2, 3) / math.sqrt(q_BHTK.shape[-1])
    scores_BHTS = at_least_float32(scores_BHTS)
    # ENC-007: a hidden key has no influence at all, whatever stands there: its weight is 0. The
    # smallest finite number and not minus infinity: a row of padding alone would be NaN.
    smallest = torch.finfo(scores_BHTS.dtype).min
    scores_BHTS = torch.where(visible_B11S, scores_BHTS, smallest)
    return torch.softmax(scores_BHTS, dim=-1).to(v_BHSK.dtype) @ v_BHSK


def gelu(x: Tensor) -> Tensor:
    """Return x Phi(x), of any shape, by erf (Hendrycks and Gimpel 2016)."""
    return nn.functional.gelu(x)


class SelfAttention(nn.Module):
    """Queries, keys and values of one layer, all with biases."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.query = nn.Linear(config.dim, config.dim)
        self.key = nn.Linear(config.dim, config.dim)
        self.value = nn.Linear(config.dim, config.dim)

    def forward(self, x_BTD: Tensor, visible_B11S: Tensor) -> Tensor:
        """Return what the heads have read, side by side, (B, T, D)."""
        q_BHTK, k_BHTK, v_BHTK = (
            project(x_BTD).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        return attend(q_BHTK, k_BHTK, v_BHTK, visible_B11S).transpose(1, 2).flatten(2)


class AddedAndNormed(nn.Module):
    """A dense layer, added to the stream, and the sum normalised (Vaswani et al. 2017, 3.1)."""

    def __init__(self, inputs: int, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.dim)
        self.LayerNorm = LayerNorm(config)

    def forward(self, y_BTN: Tensor, stream_BTD: Tensor) -> Tensor:
        """Return the new stream, (B, T, D)."""
        # ENC-001: the norm stands behind the sum, so that the stream itself is normalised.
        return self.LayerNorm(self.dense(y_BTN) + stream_BTD)


class Attention(nn.Module):
    """Self-attention with what follows it; ``self`` is the name of its tensors."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AddedAndNormed(config.dim, config)

    def forward(self, x_BTD: Tensor, visible_B11S: Tensor) -> Tensor:
        """Return the stream behind attention, (B, T, D)."""
        return self.output(self.self(x_BTD, visible_B11S), x_BTD)


class Intermediate(nn.Module):
    """The first half of the feed-forward."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.dim, config.hidden)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the activated units, (B, T, F)."""
        return gelu(self.dense(x_BTD))


class Layer(nn.Module):
    """One layer: attention and feed-forward, each added and then normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = AddedAndNormed(config.hidden, config)

    def forward(self, x_BTD: Tensor, visible_B11S: Tensor) -> Tensor:
        """Return the stream behind the layer, (B, T, D)."""
        x_BTD = self.attention(x_BTD, visible_B11S)
        return self.output(self.intermediate(x_BTD), x_BTD)


class Pooler(nn.Module):
    """The vector of a row (Devlin et al. 2019, section 3; google-research/bert, modeling.py)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.dim, config.dim)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return it, (B, D)."""
        # ENC-011: of the first slot, and through tanh.
        return torch.tanh(self.dense(x_BTD[:, 0]))


class Transform(nn.Module):
    """What stands between the stream and the output of masked tokens."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.dim, config.dim)
        self.LayerNorm = LayerNorm(config)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return vectors that the word embedding is held against, (B, T, D)."""
        return self.LayerNorm(gelu(self.dense(x_BTD)))


class Predictions(nn.Module):
    """The masked-token head without its matrix, which is the word embedding."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.bias = nn.Parameter(torch.empty(config.vocab))

    def forward(self, x_BTD: Tensor, words_VD: Tensor) -> Tensor:
        """Return the logits of every token, (B, T, V)."""
        # ENC-012: the head's matrix is the word embedding, and it has a bias of its own.
        return nn.functional.linear(self.transform(x_BTD), words_VD, self.bias)


class Layers(nn.Module):
    """The layers; a class of its own because their tensors are named ``encoder.layer.``."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.layers))


class Bert(nn.Module):
    """The encoder without its head; its tensors are named ``bert.``."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        if config.pooler:
            self.pooler = Pooler(config)

    def forward(
        self, input_ids_BT: Tensor, attention_mask_BT: Tensor, token_type_ids_BT: Tensor
    ) -> Tensor:
        """Return the stream behind the last layer, (B, T, D)."""
        x_BTD = self.embeddings(input_ids_BT, token_type_ids_BT)
        visible_B11S = visible_keys(attention_mask_BT)
        for layer in self.encoder.layer:
            x_BTD = layer(x_BTD, visible_B11S)
        return x_BTD


class Head(nn.Module):
    """What is trained beside the encoder; its tensors are named ``cls.``."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.predictions = Predictions(config)


class Encoder(nn.Module):
    """An encoder without weights; ``build_encoder`` and ``load_encoder`` give it some.

    Raises:
        ValueError: the config contradicts itself.
    """

    def __init__(self, config: EncoderConfig) -> None:
        validate(config)
        super().__init__()
        self.config = config
        self.bert = Bert(config)
        if config.head:
            self.cls = Head(config)

    def forward(
        self, input_ids_BT: Tensor, attention_mask_BT: Tensor, token_type_ids_BT: Tensor
    ) -> EncoderOutput:
        """Return hidden states, and pooled vector and masked-token logits where there are any.

        Args:
            input_ids_BT: int64 token ids.
            attention_mask_BT: 1 where a token may be seen.
            token_type_ids_BT: int64 token types.
        """
        x_BTD = self.bert(input_ids_BT, attention_mask_BT, token_type_ids_BT)
        pooled_BD = self.bert.pooler(x_BTD) if self.config.pooler else None
        words_VD = self.bert.embeddings.word_embeddings.weight
        logits_BTV = self.cls.predictions(x_BTD, words_VD) if self.config.head else None
        return EncoderOutput(x_BTD, pooled_BD, logits_BTV)


def build_encoder(
    config: EncoderConfig,
    weights: Mapping[str, NDArray[Any]],
    dtype: torch.dtype = torch.float32,
) -> Encoder:
    """Return an encoder with the given weights, each rounded once to ``dtype``.

    Raises:
        RuntimeError: a tensor is missing, superfluous or of another shape.
        ValueError: the config contradicts itself.
    """
    encoder: Encoder = filled(lambda: Encoder(config), weights, dtype)
    return encoder


def load_encoder(folder: Path, dtype: torch.dtype = torch.float32) -> Encoder:
    """Return the encoder of a model package.

    Raises:
        ConfigError: the folder is no encoder that ``huggingface.open_folder`` understands.
    """
    return build_encoder(*open_folder(folder), dtype=dtype)
