"""Seeded weights of an original Transformer, designed so that faults show; the decoder's streams.

The scaled embedding is as large as the places that are added to it, attention is sharp, and biases
are no smaller than half of what they are added to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference_model.encoder_decoder.transformer.layout import tensor_shapes
from reference_model.weights import norm_weight, normal, stream_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference_model.encoder_decoder.transformer.config import TransformerConfig

_NORMED = 13 / 12
"""Mean square of what leaves a norm, whose weights lie between 0.5 and 1.5."""
_PASSED = {"relu": 0.7, "silu": 0.64}
"""The share that an activation lets pass of a root mean square of 1.5, the design's."""


@dataclass(frozen=True, slots=True)
class TransformerDesign:
    """The magnitudes that the weights aim at: standard deviations."""

    embedding: float = 0.8
    """Of the scaled embedding's entries; sines and cosines deviate by 0.7."""
    block: float = 0.6
    """Of what attention, and again the feed-forward, adds to the stream."""
    score: float = 2.0
    """Of the attention scores."""
    unit: float = 1.5
    """Of what an activation is given."""
    logit: float = 3.0
    """Of the logits."""
    bias: float = 0.5
    """Of a bias, as a share of what it is added to."""


def make_weights(
    config: TransformerConfig, seed: int, design: TransformerDesign
) -> dict[str, NDArray[np.float32]]:
    """Return every tensor of an original Transformer, float32, in canonical order.

    Args:
        config: the encoder-decoder.
        seed: any integer; models with different seeds share no stream.
        design: the magnitudes to aim at.
    """
    last = f"model.decoder.layers.{config.decoder.layers - 1}.final_layer_norm.weight"
    weights = {}
    for name, shape in tensor_shapes(config).items():
        stream, size = stream_of(seed, name), _size(name, config, design)
        if name.endswith("norm.weight"):
            weights[name] = norm_weight(stream, shape[0], size if name == last else 1.0, 0)
        else:
            weights[name] = normal(stream, shape, size)
    return weights


def _size(name: str, config: TransformerConfig, design: TransformerDesign) -> float:
    """Return a tensor's standard deviation, or the last norm's gain.

    A product with n independent inputs of mean square m has the deviation sqrt(n m) times the
    weights' own; each line solves that for the weights.
    """
    inputs, root = math.sqrt(config.dim * _NORMED), math.sqrt(config.dim)
    side = config.decoder if ".decoder." in name else config.encoder
    embedding = design.embedding / root
    # A score q.k / sqrt(K) deviates by the product of both deviations.
    projected = math.sqrt(design.score)
    made = {
        "shared": embedding,
        "final_logits_bias": design.bias * design.logit,
        "q_proj": projected,
        "k_proj": projected,
        "v_proj": 1.0,
        "out_proj": design.block,
        "fc1": design.unit,
        "fc2": design.block,
        # A tied head has the embedding's size: the last norm brings the rest.
        "norm": design.logit / (embedding * inputs),
    }
    kind, _, part = name.rpartition(".")
    end = next(size for place, size in made.items() if (kind or name).endswith(place))
    if part == "bias":
        return design.bias * (1.0 if kind.endswith("norm") else end)
    # Sharp attention reads few keys: 0.7 of their deviation is what is left.
    passed = _PASSED[config.activation] * design.unit
    given = {
        "q_proj": inputs,
        "k_proj": inputs,
        "v_proj": inputs,
        "out_proj": 0.7 * root,
        "fc1": inputs,
        "fc2": passed * math.sqrt(side.hidden),
    }
    return end / given.get(kind.rpartition(".")[2], 1.0)
