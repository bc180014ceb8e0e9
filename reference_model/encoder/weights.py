"""Seeded weights of an encoder, designed so that faults show; the streams are the decoder's.

The embeddings are as small as the epsilon of some published encoders lets count, attention is
sharp, norms and biases differ from one and from zero, and what each block adds is as large as what
it is added to: the stream is normalised behind every sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference_model.encoder.layout import tensor_shapes
from reference_model.weights import norm_weight, normal, stream_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference_model.encoder.config import EncoderConfig

_NORMED = 13 / 12 + 0.2**2
"""Mean square of what leaves a norm: its weights between 0.5 and 1.5, and its bias."""


@dataclass(frozen=True, slots=True)
class EncoderDesign:
    """The magnitudes that the weights aim at: standard deviations."""

    embedding: float
    """Of each of the three embeddings' entries: where its square is about epsilon, that counts."""
    block: float = 0.7
    """Of what attention, and again the feed-forward, adds to the stream."""
    score: float = 2.5
    """Of the attention scores."""
    unit: float = 1.5
    """Of what an activation is given: both of its tails are used."""
    bias: float = 0.2
    """Of a bias, as a share of what it is added to."""
    logit: float = 3.0
    """Of the masked tokens' logits."""


def make_weights(
    config: EncoderConfig, seed: int, design: EncoderDesign
) -> dict[str, NDArray[np.float32]]:
    """Return every tensor of an encoder, float32, in canonical order.

    Args:
        config: the encoder.
        seed: any integer; models with different seeds share no stream.
        design: the magnitudes to aim at.
    """
    weights = {}
    for name, shape in tensor_shapes(config).items():
        layer, _, kind = name.rpartition(".")
        size = _deviation(layer, config, design)
        if "LayerNorm" in layer and kind == "weight":
            weights[name] = norm_weight(stream_of(seed, name), shape[0], size, 0)
        elif kind == "bias":
            weights[name] = normal(stream_of(seed, name), shape, _bias(layer, size, config, design))
        else:
            weights[name] = normal(stream_of(seed, name), shape, size)
    return weights


def _deviation(layer: str, config: EncoderConfig, design: EncoderDesign) -> float:
    """Return a matrix's standard deviation, or a norm's gain, by the layer that it belongs to.

    A product with n independent inputs of mean square m has the deviation sqrt(n m) times the
    weights' own; each line solves that for the weights.
    """
    inputs = math.sqrt(config.dim * _NORMED)
    # A score q.k / sqrt(K) deviates by the product of the two's deviations. Sharp attention reads
    # few keys, and GELU halves what it is given: 0.7 of each is what is left.
    wanted = {
        "embeddings.LayerNorm": 1.0,
        "_embeddings": design.embedding,
        "self.query": math.sqrt(design.score) / inputs,
        "self.key": math.sqrt(design.score) / inputs,
        "self.value": 1.0 / inputs,
        "attention.output.dense": design.block / (0.7 * math.sqrt(config.dim)),
        "intermediate.dense": design.unit / inputs,
        "output.dense": design.block / (0.7 * design.unit * math.sqrt(config.hidden)),
        "pooler.dense": 1.0 / inputs,
        "transform.dense": design.unit / inputs,
        # The head's matrix has the embedding's size, so its norm has to bring the logits' size.
        "transform.LayerNorm": design.logit / (design.embedding * inputs),
        "predictions": design.logit,
        "LayerNorm": 1.0,
    }
    return next(size for end, size in wanted.items() if layer.endswith(end))


def _bias(layer: str, size: float, config: EncoderConfig, design: EncoderDesign) -> float:
    if "LayerNorm" in layer or layer == "cls.predictions":
        return design.bias * size
    return design.bias * size * math.sqrt(config.dim)
