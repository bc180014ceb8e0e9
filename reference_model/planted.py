"""Planted models: ordinary Llama weights, arranged so that the logits are known without running.

Every weight is a dyadic number of at most eight significant bits, so that float32, float16 and
bfloat16 hold it exactly; every value that leads to a logit is one product or one sum with zeros, so
that no order of summation matters. A right implementation gives the exact numbers in each of these
types; the ``soft`` models and the mean alone are rounded.

What a model's logits are is stated once more, and not from this code, by the suite's oracle of
closed forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from reference_model import layout
from reference_model.config import Attention, Mlp, ModelConfig, Norm, Rope
from reference_model.planting import (
    CONSTANT,
    DIM,
    GROUPS,
    HEAD_DIM,
    NORM,
    ONE_HOT,
    OUT,
    PAIRS,
    SECOND,
    SHARE,
    THETA,
    TOKEN,
    VOCAB,
    bystanders,
    carry,
    embed,
    heads_of,
    layers_of,
    look_back,
    of_layer,
    output,
    read_out,
    reader,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class PlantedModel:
    """A model with a closed form. ``digest`` is ``weights.digest`` of its weights."""

    name: str
    summary: str
    config: ModelConfig
    digest: str
    plant: Callable[[Weights], None]
    """Fills in what makes the model; it is given weights whose norms are 1 and whose rest is 0."""

    def weights(self) -> Weights:
        """Return the weights, float32, in canonical order."""
        shapes = layout.tensor_shapes(self.config)
        weights = {
            name: (np.ones if len(shape) == 1 else np.zeros)(shape, np.float32)
            for name, shape in shapes.items()
        }
        self.plant(weights)
        return weights


def _config(eps: float = 1e-5, layers: int = 2, heads: int = 16) -> ModelConfig:
    return ModelConfig(
        vocab=VOCAB,
        dim=DIM,
        layers=layers,
        attention=Attention(heads=heads, kv_heads=GROUPS, head_dim=HEAD_DIM),
        rope=Rope(theta=THETA),
        norm=Norm(eps=eps),
        mlp=Mlp(hidden=64),
        tied=False,
        max_positions=4096,
    )


_CONSTANT_ONLY = slice(0, 1)


def _bigram(weights: Weights) -> None:
    weights[layout.EMBEDDING][:, :VOCAB] = 1024 * np.eye(VOCAB)
    v, t = np.indices((VOCAB, VOCAB))
    weights[layout.HEAD][:, :VOCAB] = ((37 * v + 101 * t) % 127 - 63) / 8
    names = ("q_proj", "k_proj", "v_proj")
    bystanders(weights, *(f"self_attn.{n}" for n in names), "mlp.gate_proj", "mlp.up_proj")


def _mean(weights: Weights) -> None:
    embed(weights)
    for layer in range(layers_of(weights)):
        carry(weights, layer, ONE_HOT / 2**layer)
    read_out(weights, 16)
    bystanders(weights, "self_attn.k_proj", "mlp.gate_proj", "mlp.up_proj")


def _previous(*lags: int) -> Callable[[Weights], None]:
    def plant(weights: Weights) -> None:
        embed(weights)
        for layer, lag in enumerate(lags):
            look_back(weights, layer, lag, 1, _CONSTANT_ONLY)
            carry(weights, layer, ONE_HOT / 2**layer)
        read_out(weights, 16 if len(lags) > 1 else 24)
        bystanders(weights, "mlp.gate_proj", "mlp.up_proj")

    return plant


def _kv_heads(weights: Weights) -> None:
    """Key/value head g has 1 at place g; query head h copies what it reads to places of its own."""
    embed(weights)
    for layer in range(layers_of(weights)):
        look_back(weights, layer, 0, 1, _CONSTANT_ONLY)
        for head in range(GROUPS):
            row = head * HEAD_DIM + head
            of_layer(weights, layer, "self_attn.v_proj")[row, 0] = 1 / (CONSTANT * NORM)
        for query in range(heads_of(weights)):
            for place in range(GROUPS):
                channel = OUT + query * GROUPS + place
                output(weights, layer)[channel, query * HEAD_DIM + place] = ONE_HOT / 2**layer
    read_out(weights, 16)
    bystanders(weights, "mlp.gate_proj", "mlp.up_proj")


EPSILON = 3 * 4.0**-9
"""With a mean square of 4**-9 the root is that of 4**-8, a dyadic number; 1.1444091796875e-05."""


def _eps(weights: Weights) -> None:
    """No constant: each layer moves the one-hot to the next block, so that its size stays."""
    weights[layout.EMBEDDING][:, TOKEN : TOKEN + VOCAB] = ONE_HOT * np.eye(VOCAB)
    for layer, (source, target) in enumerate(((TOKEN, OUT), (OUT, SECOND))):
        look_back(weights, layer, 0, 2, slice(source, source + VOCAB))
        values = of_layer(weights, layer, "self_attn.v_proj")
        for token in range(VOCAB):
            head, place = divmod(token, SHARE)
            values[head * HEAD_DIM + place, source + token] = 1 / 16
            column = reader(weights, head, place)
            output(weights, layer)[target + token, column] = ONE_HOT
            output(weights, layer)[source + token, column] = -ONE_HOT
    weights[layout.HEAD][:, SECOND : SECOND + VOCAB] = np.eye(VOCAB)
    bystanders(weights, "mlp.gate_proj", "mlp.up_proj")


def _soft(weights: Weights) -> None:
    """Scores are products of the tokens' own numbers; a unit of the feed-forward is a class's."""
    embed(weights)
    scale = 1 / (ONE_HOT * NORM)
    tokens = np.arange(VOCAB)
    slowest = PAIRS - 1
    columns = slice(TOKEN, TOKEN + VOCAB)
    for layer in range(layers_of(weights)):
        queries = of_layer(weights, layer, "self_attn.q_proj")
        queries[slowest::HEAD_DIM, columns] = scale * (1 + tokens % 4)
        keys = of_layer(weights, layer, "self_attn.k_proj")
        keys[slowest::HEAD_DIM, columns] = scale * 2 * (tokens % 7 - 3)
        carry(weights, layer, ONE_HOT / 2**layer)
    of_layer(weights, 0, "mlp.gate_proj")[tokens % 16, TOKEN + tokens] = (
        (tokens % 16 - 8) / 2 * scale
    )
    for unit in range(16):
        of_layer(weights, 0, "mlp.up_proj")[unit, 0] = 1 / (CONSTANT * NORM)
        of_layer(weights, 0, "mlp.down_proj")[OUT + 300 + unit, unit] = ONE_HOT / 2
    read_out(weights, 16)


def _soft_rope(weights: Weights) -> None:
    embed(weights)
    for layer in range(layers_of(weights)):
        look_back(weights, layer, 5, 1 / 32, _CONSTANT_ONLY)
        carry(weights, layer, ONE_HOT / 2**layer)
    read_out(weights, 16)
    bystanders(weights, "mlp.gate_proj", "mlp.up_proj")


_USUAL = _config()
_ALL = (
    PlantedModel(
        "bigram",
        "closed form: logits are a table of the last token",
        _USUAL,
        "74aeeeaf3569f4e6f20ffc5feb56bfd708fea274c773f6af1da50288dcc08bcf",
        _bigram,
    ),
    PlantedModel(
        "mean-attention",
        "closed form: logits count the visible tokens",
        _USUAL,
        "671c42dee2c0b112f18eca8007298faf395e4ee9cc11dabcfe2aacee64aa74a1",
        _mean,
    ),
    PlantedModel(
        "previous-near",
        "closed form: looks 1 and 5 tokens back",
        _USUAL,
        "a7109fc5d0336125dc309375aa48ccff4ecb4a222d5f8e47bf841de397cfe5c6",
        _previous(1, 5),
    ),
    PlantedModel(
        "previous-far",
        "closed form: looks 64 and 200 tokens back",
        _USUAL,
        "51c28f9f8b9dbd3a9e117b6a61503ebc0cd962d47dc651fbd133818d640670ce",
        _previous(64, 200),
    ),
    PlantedModel(
        "previous-long",
        "closed form: looks 1900 tokens back",
        _config(layers=1, heads=GROUPS),
        "854a2d79116b867ad4b6a0cc210265210f213962e8e4bc70be8e34e6a489b3f1",
        _previous(1900),
    ),
    PlantedModel(
        "copy",
        "closed form: repeats its last 64 tokens for ever",
        _USUAL,
        "342dab53efefe291f6e7eb2b8bdd153fba265ada933e716a5fa4229cad95f79d",
        _previous(63, 63),
    ),
    PlantedModel(
        "kv-heads",
        "closed form: logits tell which head reads which",
        _USUAL,
        "d90842c4d8da13af0781f46355fcdf33cac1aedbb96170f0b98fc2300acedd85",
        _kv_heads,
    ),
    PlantedModel(
        "eps",
        "closed form: exact with the declared epsilon alone",
        _config(eps=EPSILON),
        "04194bf381b32658c597ad4c352af3d038da0487ed2ccc5b351e716f64f54b9b",
        _eps,
    ),
    PlantedModel(
        "soft",
        "closed form: rounded; attention scale and activation",
        _USUAL,
        "2c609ec5d2e004b4bb70b7d5b2640f23db805a128f8eaa28f2d51c1015709d46",
        _soft,
    ),
    PlantedModel(
        "soft-rope",
        "closed form: rounded; every rotary frequency",
        _USUAL,
        "22c62a55ce8256600cc551c2ee1fd91ac2b442fde6d9a8818ef3fe8ddc6cd137",
        _soft_rope,
    ),
)
MODELS: Mapping[str, PlantedModel] = MappingProxyType({model.name: model for model in _ALL})
"""The planted models by name."""
