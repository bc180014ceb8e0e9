"""The fixed corpora on which a model's noise units are measured and its logits are judged.

Kill inputs: besides a plain row there is one that repeats itself, both kinds of padding, and one
whose positions leave large gaps, where wrong rotary bases and frequency scalings show. Others
have rows that are longer than the tiles of kernels, or than any cache, and the last positions.
Rounding grows with both, so that each corpus has a noise unit of its own. So has text, of which a
trained model is surer than of any tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

TOKENS = 64
"""Tokens of a row."""
LONG = 257
"""Tokens of a long row: one more than the tiles of the usual kernels hold."""
LONGEST = 8193
"""Tokens of the longest row: one more than 16 chunks of 512, and than twice what caches hold."""
PROMPT, STEPS = 32768, 8
"""Tokens of the prompt that fills the usual longest cache, and of the steps behind it."""
CHUNK = 512
"""Tokens of a chunk in which a long prompt is fed."""
_LEFT, _RIGHT = 13, 9
"""Padded tokens of the padded rows; odd, so that no kernel's tile ends there."""
_PERIOD = 7
"""Length of what the repeating row repeats."""
FAR = 256
"""Where the last quarter of the row with gaps stands, unless the model ends before.

Far enough that a rotary base of 10001 for 10000 errs by 100 noise units, and no farther: the
rounding of the angles grows with the position, and at 1000 it would double the unit of the suite's
models and so hide other faults.
"""
TEXT = (
    (
        "The young farmer remembers the yellow boat under the tree.\nWe have plums and figs.\n"
        "12, 13, 14, 15.\ncopy lantern: lantern\n"
    ),
    "Η φίλη μου βρίσκει το μήλο κάθε μέρα.\nОна видит дом.\nThe quiet sailor finds a letter",
    "猫は毎日家を見る。\nМальчик рисует яблоко утром.\nالمعلم يرى البيت كل يوم.\n8, 9, 10, 11.\n",
)
"""What each row of the text's corpus begins with."""
_OF_TEXT = 96
"""Tokens of a row of text."""
_RUN = 8
"""Tokens that follow each other in the rows that leap to the model's last position."""


@dataclass(frozen=True)
class Corpus:
    """Tokens, mask and positions as a model is given them; a position is judged where mask is 1."""

    input_ids_BT: Ints
    attention_mask_BT: Ints
    position_ids_BT: Ints

    @property
    def inputs(self) -> tuple[Ints, Ints, Ints]:
        """What a model is given, in the order in which it takes them."""
        return self.input_ids_BT, self.attention_mask_BT, self.position_ids_BT

    @property
    def judged_BT(self) -> NDArray[np.bool_]:
        """Where logits are judged."""
        judged_BT: NDArray[np.bool_] = self.attention_mask_BT != 0
        return judged_BT


def corpus(vocab: int, max_positions: int, *, times: int = 1) -> Corpus:
    """Return the corpus for a model: 5 rows of 64 tokens, 298 of them judged.

    Args:
        vocab: size of the vocabulary.
        max_positions: positions that the model allows; at least 64.
        times: how often the five kinds of rows come, each time with other tokens.

    Raises:
        ValueError: the model allows fewer than 64 positions.
    """
    if max_positions < TOKENS:
        raise ValueError(
            f"the model allows {max_positions} positions; the corpus has rows of {TOKENS}"
        )
    ids_BT = _random(times * 5 * TOKENS, vocab).reshape(-1, TOKENS)
    ids_BT[1::5] = ids_BT[1::5, np.arange(TOKENS) % _PERIOD]
    mask_BT = np.ones_like(ids_BT)
    mask_BT[2::5, :_LEFT] = 0
    mask_BT[3::5, -_RIGHT:] = 0
    positions_BT = default_positions(mask_BT)
    positions_BT[4::5] = _with_gaps(max_positions)
    return Corpus(ids_BT, mask_BT, positions_BT)


def long_corpus(vocab: int, max_positions: int) -> Corpus:
    """Return two rows of 257 tokens, or of as many as the model allows, the second left-padded."""
    tokens = min(LONG, max_positions)
    ids_BT = _random(2 * tokens, vocab).reshape(-1, tokens)
    mask_BT = np.ones_like(ids_BT)
    mask_BT[1, :_LEFT] = 0
    return Corpus(ids_BT, mask_BT, default_positions(mask_BT))


def longest_corpus(vocab: int, max_positions: int) -> Corpus:
    """Return one row of 8193 tokens, or of as many as the model allows."""
    ids_BT = _random(min(LONGEST, max_positions), vocab)[None]
    mask_BT = np.ones_like(ids_BT)
    return Corpus(ids_BT, mask_BT, default_positions(mask_BT))


def prompt_with_steps(vocab: int) -> Corpus:
    """Return one row of 32776 tokens: a prompt of 64 chunks, and what follows it."""
    ids_BT = _random(PROMPT + STEPS, vocab)[None]
    mask_BT = np.ones_like(ids_BT)
    return Corpus(ids_BT, mask_BT, default_positions(mask_BT))


def telling_places() -> Ints:
    """Return the places of that row that are judged: every border of chunks, some inside, the end.

    The first and the last token of each chunk, one between them, at another place in each chunk,
    and all steps. There the mask of a chunk, the number of a cache's slots and the width of a
    position show; what a fault does to their neighbours it does to them.
    """
    first = np.arange(0, PROMPT, CHUNK)
    inside = first + 1 + _random(len(first), CHUNK - 2)
    steps = np.arange(PROMPT, PROMPT + STEPS)
    return np.sort(np.concatenate([first, inside, first + CHUNK - 1, steps]))


def far_corpus(vocab: int, max_positions: int) -> Corpus:
    """Return the corpus's rows once more, at positions up to the last that a model allows.

    Four rows leap from 0 to the end by powers of two, each run of tokens astride one: a table that
    ends too early, and a position that wraps around, put tokens at other distances. The last row
    is the end of the context, where positions of too few bits fall together.

    Raises:
        ValueError: the model allows fewer than 64 positions.
    """
    near = corpus(vocab, max_positions)
    positions_BT = np.tile(_leaps(max_positions), (len(near.input_ids_BT), 1))
    positions_BT[-1] = np.arange(max_positions - TOKENS, max_positions)
    return replace(near, position_ids_BT=positions_BT)


def text_corpus(vocab: int, max_positions: int) -> Corpus:
    """Return three rows of text as bytes, which are tokens as any to models of other tokens."""
    tokens = min(_OF_TEXT, max_positions)
    rows = [list(text.encode()[:tokens]) for text in TEXT]
    ids_BT = np.array(rows, np.int64) % vocab
    mask_BT = np.ones_like(ids_BT)
    return Corpus(ids_BT, mask_BT, default_positions(mask_BT))


CORPORA: Mapping[str, Callable[[int, int], Corpus]] = MappingProxyType(
    {
        "near": corpus,
        "long": long_corpus,
        "far": far_corpus,
        "longest": longest_corpus,
        "text": text_corpus,
    }
)
"""The corpora by name; each is made for a vocabulary and a number of positions."""


def default_positions(mask_BT: Ints) -> Ints:
    """Return the positions that go with a mask: tokens that attend count from 0."""
    positions: Ints = np.maximum(np.cumsum(mask_BT, axis=1) - 1, 0)
    return positions


def _random(count: int, below: int) -> Ints:
    """Return uniform integers by integer arithmetic alone, the same on every machine."""
    high = np.random.Philox(key=20170612).random_raw(count) >> np.uint64(32)
    drawn: Ints = (high * np.uint64(below) >> np.uint64(32)).astype(np.int64)
    return drawn


def _leaps(max_positions: int) -> Ints:
    """Return positions in runs around the last position, half of it, a quarter of it, and so on."""
    runs = TOKENS // _RUN
    halves = [max_positions // 2**i - _RUN // 2 for i in range(1, runs - 1)]
    wanted = [0, *reversed(halves), max_positions - _RUN]
    starts = [max(i * _RUN, start) for i, start in enumerate(wanted)]
    return np.concatenate([np.arange(start, start + _RUN) for start in starts])


def _with_gaps(max_positions: int) -> Ints:
    """Return positions in four runs, far apart as far as the model allows."""
    run = TOKENS // 4
    last = min(FAR, max_positions - run)
    starts = [max(i * run, last * share // 16) for i, share in enumerate((0, 2, 8, 16))]
    return np.concatenate([np.arange(start, start + run) for start in starts])
