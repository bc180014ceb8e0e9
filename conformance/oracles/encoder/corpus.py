"""The fixed corpora on which an encoder's noise units are measured and its answers are judged.

Kill inputs: a plain row, one of several token types, one that repeats itself, padding at either
side, of tokens and types like any others, and holes. The long rows have every position that the
model has, up to 512.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

TOKENS = 48
"""Tokens of a row."""
_LONGEST = 512
"""Tokens of a long row, where the model has more positions."""
_LEFT, _RIGHT = 13, 9
_HOLES = (5, 6, 20, 33)
_PERIOD = 7


@dataclass(frozen=True)
class EncoderCorpus:
    """Tokens, mask and token types as an encoder is given them; judged where the mask is 1."""

    input_ids_BT: Ints
    attention_mask_BT: Ints
    token_type_ids_BT: Ints

    @property
    def inputs(self) -> tuple[Ints, Ints, Ints]:
        """What an encoder is given, in the order in which it takes them."""
        return self.input_ids_BT, self.attention_mask_BT, self.token_type_ids_BT


def judged(mask_BT: Ints, name: str) -> NDArray[np.bool_]:
    """Return which vectors of an output are judged: (B, T) of tokens, (B,) of rows.

    The vector of a row is read off its first slot, and is judged where that is no padding.
    """
    visible_BT: NDArray[np.bool_] = mask_BT != 0
    return visible_BT[:, 0] if name == "pooler_output" else visible_BT


def near_corpus(vocab: int, types: int, max_positions: int) -> EncoderCorpus:
    """Return six rows of 48 tokens, or of as many as the model has positions."""
    tokens = min(TOKENS, max_positions)
    ids_BT = _random(0, (6, tokens), vocab)
    types_BT = _random(1, (6, tokens), types)
    types_BT[0] = 0
    types_BT[1] = np.arange(tokens) * types // tokens
    ids_BT[2] = ids_BT[2, np.arange(tokens) % _PERIOD]
    mask_BT = np.ones_like(ids_BT)
    mask_BT[3, -_RIGHT:] = 0
    mask_BT[4, :_LEFT] = 0
    mask_BT[5, [hole for hole in _HOLES if hole < tokens]] = 0
    return EncoderCorpus(ids_BT, mask_BT, types_BT)


def long_corpus(vocab: int, types: int, max_positions: int) -> EncoderCorpus:
    """Return two rows of every position that the model has, the second padded at its right."""
    tokens = min(_LONGEST, max_positions)
    ids_BT, types_BT = _random(2, (2, tokens), vocab), _random(3, (2, tokens), types)
    mask_BT = np.ones_like(ids_BT)
    mask_BT[1, -_RIGHT:] = 0
    return EncoderCorpus(ids_BT, mask_BT, types_BT)


CORPORA: Mapping[str, Callable[[int, int, int], EncoderCorpus]] = MappingProxyType(
    {"near": near_corpus, "long": long_corpus}
)
"""The corpora by name; each is made for a vocabulary, types and a number of positions."""


def _random(stream: int, shape: tuple[int, int], below: int) -> Ints:
    return random_integers(20181011 + stream, shape, below)


def random_integers(key: int, shape: tuple[int, int], below: int) -> Ints:
    """Return uniform integers by integer arithmetic alone, the same on every machine."""
    raw = np.random.Philox(key=key).random_raw(shape[0] * shape[1])
    drawn: Ints = ((raw >> np.uint64(32)) * np.uint64(below) >> np.uint64(32)).astype(np.int64)
    return drawn.reshape(shape)
