"""Text made by a seeded grammar: what the trained model learns, and what it is tested on.

Nothing is quoted: short sentences in five scripts, sums, counts, lists, brackets, and lines to be
copied. Each of them can be learnt from its bytes by a small model, and leaves some choices open, so
that probabilities are neither all alike nor all one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Draw = Callable[[Sequence[str]], str]

BOS, EOS, PAD = 256, 257, 258
"""The ids behind the 256 bytes: a text begins, a text ends, nothing stands here."""
VOCAB = 259

_SUBJECTS, _VERBS, _OBJECTS, _PLACES = range(4)
_SCRIPTS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "The {} {} the {} {}.",
        (
            ("red fox", "old teacher", "small child", "black cat", "young farmer", "quiet sailor"),
            ("sees", "paints", "finds", "carries", "forgets", "remembers"),
            ("apple", "letter", "stone", "lantern", "bridge", "garden", "yellow boat"),
            ("near the river", "in the morning", "behind the house", "under the tree"),
        ),
    ),
    (
        "{} {} {} {}.",
        (
            ("Η γάτα", "Ο δάσκαλος", "Το παιδί", "Η φίλη μου"),
            ("βλέπει", "ζωγραφίζει", "βρίσκει"),
            ("το σπίτι", "το μήλο", "τη θάλασσα"),
            ("το πρωί", "κάθε μέρα", "δίπλα στο ποτάμι"),
        ),
    ),
    (
        "{} {} {} {}.",
        (
            ("Кот", "Старый учитель", "Мальчик", "Мой друг"),
            ("видит", "рисует", "находит"),
            ("дом", "яблоко", "большой камень"),
            ("утром", "каждый день", "у реки"),
        ),
    ),
    (
        "{}は{}{}を{}。",
        (
            ("猫", "先生", "子供", "私の友達"),
            ("朝に", "毎日", "川で"),
            ("家", "本", "赤い石"),
            ("見る", "描く", "探す"),
        ),
    ),
    (
        "{} {} {} {}.",
        (
            ("القط", "المعلم", "الولد"),
            ("يرى", "يرسم", "يجد"),
            ("البيت", "التفاحة", "الحجر"),
            ("في الصباح", "كل يوم", "قرب النهر"),
        ),
    ),
)
_THINGS = ("apples", "pears", "plums", "nuts", "figs", "dates", "limes")
_NAMES = ("f", "g", "max", "size", "row", "key")
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"))
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LINES = (4, 9)
"""Lines of a text, from and below."""


def sample(seed: int, index: int) -> str:
    """Return one text; each pair of seed and index has its own."""
    numbers = np.random.Generator(np.random.Philox(key=[seed, index]))
    return "".join(f"{_line(numbers)}\n" for _ in range(numbers.integers(*_LINES)))


def encode(text: str) -> list[int]:
    """Return a text's tokens: where it begins, its bytes in UTF-8, where it ends."""
    return [BOS, *text.encode(), EOS]


def _line(numbers: np.random.Generator) -> str:
    kinds = (_sentence, _sentence, _sum, _count, _list, _brackets, _copy)
    return kinds[numbers.integers(len(kinds))](numbers)


def _drawing(numbers: np.random.Generator) -> Draw:
    return lambda choices: choices[int(numbers.integers(len(choices)))]


def _sentence(numbers: np.random.Generator) -> str:
    form, words = _SCRIPTS[numbers.integers(len(_SCRIPTS))]
    return form.format(*map(_drawing(numbers), words))


def _sum(numbers: np.random.Generator) -> str:
    one, other = numbers.integers(0, 50, 2)
    return f"{one} + {other} = {one + other}"


def _count(numbers: np.random.Generator) -> str:
    start, length = numbers.integers(0, 90), numbers.integers(3, 9)
    return ", ".join(str(start + i) for i in range(length)) + "."


def _list(numbers: np.random.Generator) -> str:
    picked = numbers.permutation(len(_THINGS))[: numbers.integers(2, 5)]
    return "We have " + ", ".join(_THINGS[i] for i in picked[:-1]) + f" and {_THINGS[picked[-1]]}."


def _brackets(numbers: np.random.Generator, depth: int = 0) -> str:
    draw = _drawing(numbers)
    if depth == 3 or (depth and numbers.random() < 1 / 3):
        return draw(("x", "y", "0", "1"))
    opening, closing = _PAIRS[int(numbers.integers(len(_PAIRS)))]
    inner = (_brackets(numbers, depth + 1) for _ in range(numbers.integers(1, 3)))
    return f"{draw(_NAMES)}{opening}{', '.join(inner)}{closing}"


def _copy(numbers: np.random.Generator) -> str:
    draw = _drawing(numbers)
    word = "".join(draw(_LETTERS) for _ in range(numbers.integers(4, 11)))
    return f"copy {word}: {word}"
