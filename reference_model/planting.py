"""How planted weights are made: a ruling constant, one-hot tokens, attention that looks back.

A large constant in channel 0 rules the mean square: each norm multiplies by 2**-6 and by nothing
else, whatever small numbers the other channels hold. Tokens are one-hot: ids 0 to 255 are bytes,
256 to 258 begin, end and pad a text, and the rest is free. Every weight is a dyadic number of at
most eight significant bits. Weights are dictionaries by Hugging Face's names, filled in place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reference_model import layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[np.float32]]

VOCAB, DIM = 320, 1024
GROUPS, HEAD_DIM = 8, 64
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


def of_layer(weights: Weights, layer: int, name: str) -> NDArray[np.float32]:
    """Return one matrix of a layer, to be filled in."""
    return weights[f"model.layers.{layer}.{name}.weight"]


def layers_of(weights: Weights) -> int:
    """Return how many layers there are."""
    return sum(name.endswith("q_proj.weight") for name in weights)


def heads_of(weights: Weights) -> int:
    """Return how many query heads there are."""
    return len(of_layer(weights, 0, "self_attn.q_proj")) // HEAD_DIM


def bystanders(weights: Weights, *names: str) -> None:
    """Give projections that lead nowhere small numbers, so that what goes wrong in them shows.

    Their results are multiplied by 0: only NaN and infinity come through.
    """
    for layer in range(layers_of(weights)):
        for name in names:
            matrix = of_layer(weights, layer, name)
            rows, columns = np.indices(matrix.shape)
            matrix[:] = ((7 * rows + 3 * columns + layer) % 17 - 8) / 1024


def embed(weights: Weights) -> None:
    """Give each token the constant and its one-hot."""
    embedding = weights[layout.EMBEDDING]
    embedding[:, 0] = CONSTANT
    embedding[:, TOKEN : TOKEN + VOCAB] = ONE_HOT * np.eye(VOCAB)


def carry(weights: Weights, layer: int, amplitude: float, source: int = TOKEN) -> None:
    """Let attention carry the one-hot of what it looks at, as ``amplitude``, to block OUT.

    Key/value head j carries its share of the tokens, and each of the query heads that it serves
    reads its part of the share, so that heads that are mapped wrongly lose tokens.
    """
    values, out = of_layer(weights, layer, "self_attn.v_proj"), output(weights, layer)
    for token in range(VOCAB):
        head, place = divmod(token, SHARE)
        values[head * HEAD_DIM + place, source + token] = 1 / (ONE_HOT * NORM)
        out[OUT + token, reader(weights, head, place)] = amplitude


def output(weights: Weights, layer: int) -> NDArray[np.float32]:
    """Return what attention's outputs are written to the stream by, (D, H * K)."""
    return of_layer(weights, layer, "self_attn.o_proj")


def reader(weights: Weights, head: int, place: int) -> int:
    """Return the attention output that holds an entry of a key/value head for its one reader."""
    serves = heads_of(weights) // GROUPS
    return (serves * head + place * serves // SHARE) * HEAD_DIM + place


def look_back(weights: Weights, layer: int, lag: int, size: float, columns: slice) -> None:
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
    for head in range(heads_of(weights)):
        for pair, angle in enumerate(lag * THETA ** (-pair / PAIRS) for pair in range(PAIRS)):
            row = head * HEAD_DIM + pair
            queries = of_layer(weights, layer, "self_attn.q_proj")
            queries[row, columns] = size * round(128 * math.cos(angle)) / 128
            queries[row + PAIRS, columns] = -size * round(128 * math.sin(angle)) / 128
    for head in range(GROUPS):
        first = head * HEAD_DIM
        of_layer(weights, layer, "self_attn.k_proj")[first : first + PAIRS, columns] = size


def read_out(weights: Weights, logit: float, block: int = OUT) -> None:
    """Let the head read a block, so that ``ONE_HOT`` in it gives this logit."""
    weights[layout.HEAD][:, block : block + VOCAB] = logit / (ONE_HOT * NORM) * np.eye(VOCAB)
