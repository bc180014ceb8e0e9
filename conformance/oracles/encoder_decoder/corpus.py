"""The fixed corpora on which an encoder-decoder's noise units are measured and it is judged.

Kill inputs: a plain row, one that repeats itself, padding of the source at either side, of tokens
like any others, and holes. In the long rows distances are met that share the last bucket, or the
last positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from conformance.oracles.encoder.corpus import random_integers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

SOURCE, TARGET = 48, 32
"""Tokens of a row's source and of its target."""
FAR = 24
"""By how much the longest distance of the long rows exceeds that of the last bucket; as many of
their target tokens are fed in further steps."""
LONGEST = 2048
"""Tokens of a row at most, however far a model reaches: scores grow with the square of it."""
_LEFT, _RIGHT = 13, 9
_HOLES = (5, 6, 20, 33)
_PERIOD = 7
_STREAM = 20191023


@dataclass(frozen=True)
class EncoderDecoderCorpus:
    """Source, its mask and target as an encoder-decoder is given them.

    Every target token is judged, and the encoded source where the mask is 1.
    """

    source_ids_BS: Ints
    source_mask_BS: Ints
    target_ids_BT: Ints

    @property
    def inputs(self) -> tuple[Ints, Ints, Ints]:
        """What an encoder-decoder is given, in the order in which it takes them."""
        return self.source_ids_BS, self.source_mask_BS, self.target_ids_BT

    def judged(self, name: str) -> NDArray[np.bool_]:
        """Return which vectors of an output are judged, (B, S) or (B, T)."""
        return judged(self.source_mask_BS, self.target_ids_BT, name)


def judged(mask_BS: Ints, target_ids_BT: Ints, name: str) -> NDArray[np.bool_]:
    """Return which vectors of an output are judged: of visible source tokens, of all targets."""
    if name == "logits":
        return np.ones(target_ids_BT.shape, np.bool_)
    visible_BS: NDArray[np.bool_] = mask_BS != 0
    return visible_BS


def near_corpus(vocab: int, start: int, reach: int) -> EncoderDecoderCorpus:
    """Return six rows of 48 source and 32 target tokens."""
    del reach
    source_BS = random_integers(_STREAM, (6, SOURCE), vocab)
    source_BS[1] = source_BS[1, np.arange(SOURCE) % _PERIOD]
    mask_BS = np.ones_like(source_BS)
    mask_BS[2, -_RIGHT:] = 0
    mask_BS[3, :_LEFT] = 0
    mask_BS[4, list(_HOLES)] = 0
    return EncoderDecoderCorpus(
        source_BS, mask_BS, _targets(_STREAM + 1, (6, TARGET), vocab, start)
    )


def long_corpus(vocab: int, start: int, reach: int) -> EncoderDecoderCorpus:
    """Return two rows, the second padded at its right, of ``reach`` tokens or ``LONGEST``."""
    shape = 2, min(reach, LONGEST)
    source_BS = random_integers(_STREAM + 2, shape, vocab)
    mask_BS = np.ones_like(source_BS)
    mask_BS[1, -_RIGHT:] = 0
    return EncoderDecoderCorpus(source_BS, mask_BS, _targets(_STREAM + 3, shape, vocab, start))


CORPORA: Mapping[str, Callable[[int, int, int], EncoderDecoderCorpus]] = MappingProxyType(
    {"near": near_corpus, "long": long_corpus}
)
"""The corpora by name; each is made for a vocabulary, a start token and how far a model reaches."""


def _targets(stream: int, shape: tuple[int, int], vocab: int, start: int) -> Ints:
    ids_BT = random_integers(stream, shape, vocab)
    ids_BT[:, 0] = start
    return ids_BT
