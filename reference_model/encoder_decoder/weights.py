"""Seeded weights of an encoder-decoder, designed so that faults show; the decoder's streams.

The bias of distances is as large as the scores themselves, so that every bucket counts; the
embedding is as small as epsilon lets count, attention is sharp without a scale, and norms differ
from one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference_model.encoder_decoder.layout import tensor_shapes
from reference_model.weights import norm_weight, normal, stream_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference_model.encoder_decoder.config import EncoderDecoderConfig

_NORMED = 13 / 12
"""Mean square of what leaves a norm, whose weights lie between 0.5 and 1.5."""


@dataclass(frozen=True, slots=True)
class EncoderDecoderDesign:
    """The magnitudes that the weights aim at: standard deviations."""

    embedding: float = 0.02
    """Of the embedding's entries: its square is not far above epsilon."""
    block: float = 0.3
    """Of what attention, and again the feed-forward, adds to the stream."""
    score: float = 2.0
    """Of the attention scores, and of the bias of distances."""
    unit: float = 1.5
    """Of what an activation is given: both of its tails are used."""
    logit: float = 3.0
    """Of the logits."""


def make_weights(
    config: EncoderDecoderConfig, seed: int, design: EncoderDecoderDesign
) -> dict[str, NDArray[np.float32]]:
    """Return every tensor of an encoder-decoder, float32, in canonical order.

    Args:
        config: the encoder-decoder.
        seed: any integer; models with different seeds share no stream.
        design: the magnitudes to aim at.
    """
    sizes = _sizes(config, design)
    weights = {}
    for name, shape in tensor_shapes(config).items():
        kind = name.removesuffix(".weight")
        size = next(size for end, size in sizes.items() if kind.endswith(end))
        made = norm_weight(stream_of(seed, name), shape[0], size, 0) if len(shape) == 1 else None
        weights[name] = normal(stream_of(seed, name), shape, size) if made is None else made
    return weights


def _sizes(config: EncoderDecoderConfig, design: EncoderDecoderDesign) -> dict[str, float]:
    """Return a matrix's standard deviation, or a norm's gain, by the end of its name.

    A product with n independent inputs of mean square m has the deviation sqrt(n m) times the
    weights' own; each line solves that for the weights.
    """
    inputs = math.sqrt(config.dim * _NORMED)
    # A score q.k without a scale adds head_dim products: each of the two deviates by its share.
    projected = math.sqrt(design.score) / config.head_dim**0.25
    units = design.unit * (0.6 if config.gated else 0.7)
    # A tied head has the embedding's size, and its input is scaled: the norm brings the rest.
    tied = design.logit * math.sqrt(config.dim) / (design.embedding * inputs)
    return {
        "shared": design.embedding,
        "relative_attention_bias": design.score,
        "Attention.q": projected / inputs,
        "Attention.k": projected / inputs,
        "Attention.v": 1.0 / inputs,
        # Sharp attention reads few keys: 0.7 of their deviation is what is left.
        "Attention.o": design.block / (0.7 * math.sqrt(config.heads * config.head_dim)),
        "wi": design.unit / inputs,
        "wi_0": design.unit / inputs,
        "wi_1": 1.0 / inputs,
        "wo": design.block / (units * math.sqrt(config.hidden)),
        "decoder.final_layer_norm": tied if config.tied else 1.0,
        "layer_norm": 1.0,
        "lm_head": design.logit / inputs,
    }
