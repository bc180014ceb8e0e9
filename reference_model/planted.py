"""Planted models: ordinary Llama weights, arranged so that the logits are known without running.

Every weight is a dyadic number of at most eight significant bits, so that float32, float16 and
bfloat16 hold it exactly; every value that leads to a logit is one product or one sum with zeros, so
that no order of summation matters. A right implementation gives the exact numbers in each of these
types; the ``soft`` models and the mean alone are rounded.

A large constant in channel 0 rules the mean square: each norm multiplies by 2**-6 and by nothing
else, whatever small numbers the other channels hold. Tokens are one-hot: ids 0 to 255 are bytes,
256 to 258 begin, end and pad a text, and the rest is free. What a model's logits are is stated once
more, and not from this code, by the suite's oracle of closed forms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from reference_model import layout
from reference_model.config import Attention, Mlp, ModelConfig, Norm, Rope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Weights = dict[str, NDArray[np.float32]]

VOCAB, DIM, LAYERS = 320, 1024, 2
HEADS, GROUPS, HEAD_DIM = 16, 8, 64
HIDDEN = 64
THETA = 10000.0
PAIRS = HEAD_DIM // 2
SHARE = VOCAB // GROUPS
"""Tokens whose one-hot a key/value head carries."""

CONSTANT = 2048.0
ONE_HOT = 1 / 16
NORM = DIM**0.5 / CONSTANT
"""What every norm multiplies by: one over the root mean square, 2**-6."""
# Blocks of channels behind the constant's; a block has a channel for each token.
TOKEN, OUT, SECOND = 64, 64 + VOCAB, 64 + 2 * VOCAB


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


def _config(eps: float = 1e-5) -> ModelConfig:
    return ModelConfig(
        vocab=VOCAB,
        dim=DIM,
        layers=LAYERS,
        attention=Attention(heads=HEADS, kv_heads=GROUPS, head_dim=HEAD_DIM),
        rope=Rope(theta=THETA),
        norm=Norm(eps=eps),
        mlp=Mlp(hidden=HIDDEN),
        tied=False,
        max_positions=4096,
    )


def _layer(weights: Weights, layer: int, name: str) -> NDArray[np.float32]:
    return weights[f"model.layers.{layer}.{name}.weight"]


def _bystanders(weights: Weights, *names: str) -> None:
    """Give projections that lead nowhere small numbers, so that what goes wrong in them shows.

    Their results are multiplied by 0: only NaN and infinity come through.
    """
    for layer in range(LAYERS):
        for name in names:
            matrix = _layer(weights, layer, name)
            rows, columns = np.indices(matrix.shape)
            matrix[:] = ((7 * rows + 3 * columns + layer) % 17 - 8) / 1024


def _embed(weights: Weights) -> None:
    embedding = weights[layout.EMBEDDING]
    embedding[:, 0] = CONSTANT
    embedding[:, TOKEN : TOKEN + VOCAB] = ONE_HOT * np.eye(VOCAB)


def _carry(weights: Weights, layer: int, amplitude: float, source: int = TOKEN) -> None:
    """Let attention carry the one-hot of what it looks at, as ``amplitude``, to block OUT.

    Key/value head j carries its share of the tokens; the first half of the share is read by query
    head 2 j and the second by 2 j + 1, so that heads that are mapped wrongly lose tokens.
    """
    values, out = _layer(weights, layer, "self_attn.v_proj"), _out(weights, layer)
    for token in range(VOCAB):
        head, place = divmod(token, SHARE)
        values[head * HEAD_DIM + place, source + token] = 1 / (ONE_HOT * NORM)
        out[OUT + token, _reader(head, place)] = amplitude


def _out(weights: Weights, layer: int) -> NDArray[np.float32]:
    return _layer(weights, layer, "self_attn.o_proj")


def _reader(head: int, place: int) -> int:
    """Return the attention output that holds an entry of a key/value head for its one reader."""
    query = 2 * head + place // (SHARE // 2)
    return query * HEAD_DIM + place


def _look_back(weights: Weights, layer: int, lag: int, size: float, columns: slice) -> None:
    """Let every query look for the key ``lag`` positions behind, by rotary phases alone.

    A key is (1, 0) in each pair and a query is turned back by the lag, rounded to 1/128. The score
    is then the sum of cos((distance - lag) * frequency), whatever the tokens are.

    Args:
        weights: of the model.
        layer: whose attention.
        lag: how far behind.
        size: of the weights, of queries and of keys.
        columns: the channels that are read.
    """
    for head in range(HEADS):
        for pair, angle in enumerate(lag * THETA ** (-pair / PAIRS) for pair in range(PAIRS)):
            row = head * HEAD_DIM + pair
            queries = _layer(weights, layer, "self_attn.q_proj")
            queries[row, columns] = size * round(128 * math.cos(angle)) / 128
            queries[row + PAIRS, columns] = -size * round(128 * math.sin(angle)) / 128
    for head in range(GROUPS):
        first = head * HEAD_DIM
        _layer(weights, layer, "self_attn.k_proj")[first : first + PAIRS, columns] = size


def _read_out(weights: Weights, logit: float, block: int = OUT) -> None:
    """Let the head read a block, so that ``ONE_HOT`` in it gives this logit."""
    weights[layout.HEAD][:, block : block + VOCAB] = logit / (ONE_HOT * NORM) * np.eye(VOCAB)


_CONSTANT_ONLY = slice(0, 1)


def _bigram(weights: Weights) -> None:
    weights[layout.EMBEDDING][:, :VOCAB] = 1024 * np.eye(VOCAB)
    v, t = np.indices((VOCAB, VOCAB))
    weights[layout.HEAD][:, :VOCAB] = ((37 * v + 101 * t) % 127 - 63) / 8
    names = ("q_proj", "k_proj", "v_proj")
    _bystanders(weights, *(f"self_attn.{n}" for n in names), "mlp.gate_proj", "mlp.up_proj")


def _mean(weights: Weights) -> None:
    _embed(weights)
    for layer in range(LAYERS):
        _carry(weights, layer, ONE_HOT / 2**layer)
    _read_out(weights, 16)
    _bystanders(weights, "self_attn.k_proj", "mlp.gate_proj", "mlp.up_proj")


def _previous(first: int, second: int) -> Callable[[Weights], None]:
    def plant(weights: Weights) -> None:
        _embed(weights)
        for layer, lag in enumerate((first, second)):
            _look_back(weights, layer, lag, 1, _CONSTANT_ONLY)
            _carry(weights, layer, ONE_HOT / 2**layer)
        _read_out(weights, 16)
        _bystanders(weights, "mlp.gate_proj", "mlp.up_proj")

    return plant


def _kv_heads(weights: Weights) -> None:
    """Key/value head g has 1 at place g; query head h copies what it reads, each to its own place."""
    _embed(weights)
    for layer in range(LAYERS):
        _look_back(weights, layer, 0, 1, _CONSTANT_ONLY)
        for head in range(GROUPS):
            row = head * HEAD_DIM + head
            _layer(weights, layer, "self_attn.v_proj")[row, 0] = 1 / (CONSTANT * NORM)
        for query in range(HEADS):
            for place in range(GROUPS):
                channel = OUT + query * GROUPS + place
                _out(weights, layer)[channel, query * HEAD_DIM + place] = ONE_HOT / 2**layer
    _read_out(weights, 16)
    _bystanders(weights, "mlp.gate_proj", "mlp.up_proj")


EPSILON = 3 * 4.0**-9
"""With a mean square of 4**-9 the root is that of 4**-8, a dyadic number; 1.1444091796875e-05."""


def _eps(weights: Weights) -> None:
    """No constant: each layer moves the one-hot to the next block, so that its size stays."""
    weights[layout.EMBEDDING][:, TOKEN : TOKEN + VOCAB] = ONE_HOT * np.eye(VOCAB)
    for layer, (source, target) in enumerate(((TOKEN, OUT), (OUT, SECOND))):
        _look_back(weights, layer, 0, 2, slice(source, source + VOCAB))
        values = _layer(weights, layer, "self_attn.v_proj")
        for token in range(VOCAB):
            head, place = divmod(token, SHARE)
            values[head * HEAD_DIM + place, source + token] = 1 / 16
            _out(weights, layer)[target + token, _reader(head, place)] = ONE_HOT
            _out(weights, layer)[source + token, _reader(head, place)] = -ONE_HOT
    weights[layout.HEAD][:, SECOND : SECOND + VOCAB] = np.eye(VOCAB)
    _bystanders(weights, "mlp.gate_proj", "mlp.up_proj")


def _soft(weights: Weights) -> None:
    """Scores are products of the tokens' own numbers; a unit of the feed-forward is a class's."""
    _embed(weights)
    scale = 1 / (ONE_HOT * NORM)
    tokens = np.arange(VOCAB)
    slowest = PAIRS - 1
    columns = slice(TOKEN, TOKEN + VOCAB)
    for layer in range(LAYERS):
        queries = _layer(weights, layer, "self_attn.q_proj")
        queries[slowest::HEAD_DIM, columns] = scale * (1 + tokens % 4)
        keys = _layer(weights, layer, "self_attn.k_proj")
        keys[slowest::HEAD_DIM, columns] = scale * 2 * (tokens % 7 - 3)
        _carry(weights, layer, ONE_HOT / 2**layer)
    _layer(weights, 0, "mlp.gate_proj")[tokens % 16, TOKEN + tokens] = (tokens % 16 - 8) / 2 * scale
    for unit in range(16):
        _layer(weights, 0, "mlp.up_proj")[unit, 0] = 1 / (CONSTANT * NORM)
        _layer(weights, 0, "mlp.down_proj")[OUT + 300 + unit, unit] = ONE_HOT / 2
    _read_out(weights, 16)


def _soft_rope(weights: Weights) -> None:
    _embed(weights)
    for layer in range(LAYERS):
        _look_back(weights, layer, 5, 1 / 32, _CONSTANT_ONLY)
        _carry(weights, layer, ONE_HOT / 2**layer)
    _read_out(weights, 16)
    _bystanders(weights, "mlp.gate_proj", "mlp.up_proj")


_ROWS: tuple[tuple[str, str, Callable[[Weights], None], str], ...] = (
    (
        "bigram",
        "closed form: logits are a table of the last token",
        _bigram,
        "74aeeeaf3569f4e6f20ffc5feb56bfd708fea274c773f6af1da50288dcc08bcf",
    ),
    (
        "mean-attention",
        "closed form: logits count the visible tokens",
        _mean,
        "671c42dee2c0b112f18eca8007298faf395e4ee9cc11dabcfe2aacee64aa74a1",
    ),
    (
        "previous-near",
        "closed form: looks 1 and 5 tokens back",
        _previous(1, 5),
        "a7109fc5d0336125dc309375aa48ccff4ecb4a222d5f8e47bf841de397cfe5c6",
    ),
    (
        "previous-far",
        "closed form: looks 64 and 200 tokens back",
        _previous(64, 200),
        "51c28f9f8b9dbd3a9e117b6a61503ebc0cd962d47dc651fbd133818d640670ce",
    ),
    (
        "previous-long",
        "closed form: looks 1000 and 1900 tokens back",
        _previous(1000, 1900),
        "822d6048222d942bf7ea69adc0ac0607b11fba15990a6f69e912158d3dfa1872",
    ),
    (
        "copy",
        "closed form: repeats its last 64 tokens for ever",
        _previous(63, 63),
        "342dab53efefe291f6e7eb2b8bdd153fba265ada933e716a5fa4229cad95f79d",
    ),
    (
        "kv-heads",
        "closed form: logits tell which head reads which",
        _kv_heads,
        "d90842c4d8da13af0781f46355fcdf33cac1aedbb96170f0b98fc2300acedd85",
    ),
    (
        "eps",
        "closed form: exact with the declared epsilon alone",
        _eps,
        "04194bf381b32658c597ad4c352af3d038da0487ed2ccc5b351e716f64f54b9b",
    ),
    (
        "soft",
        "closed form, rounded: attention scale and activation",
        _soft,
        "2c609ec5d2e004b4bb70b7d5b2640f23db805a128f8eaa28f2d51c1015709d46",
    ),
    (
        "soft-rope",
        "closed form, rounded: every rotary frequency",
        _soft_rope,
        "22c62a55ce8256600cc551c2ee1fd91ac2b442fde6d9a8818ef3fe8ddc6cd137",
    ),
)

MODELS: Mapping[str, PlantedModel] = MappingProxyType(
    {
        name: PlantedModel(
            name=name,
            summary=summary,
            config=_config(EPSILON if name == "eps" else 1e-5),
            digest=digest,
            plant=plant,
        )
        for name, summary, plant, digest in _ROWS
    }
)
"""The planted models by name."""
