"""Faults of tokenizers whose ids are whole words or single characters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._calls import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Honest = Callable[..., Any]


@mutant("word_level.ids_of", kills=ids("TOK", 18), bug="generic")
def unknown_words_dropped(honest: Honest, pieces: Sequence[str], ids: Any, unknown: int) -> Any:
    """Words that the vocabulary lacks are left out, and are no unknown token."""
    return honest([piece for piece in pieces if piece in ids], ids, unknown)


@mutant("word_level.ids_of", kills=ids("TOK", 18), bug="generic")
def unknown_words_run_together(honest: Honest, pieces: Any, ids: Any, unknown: int) -> Any:
    """Unknown words one behind the other are one unknown token."""
    found = honest(pieces, ids, unknown)
    return [one for at, one in enumerate(found) if not at or (one, found[at - 1]) != (unknown,) * 2]


@mutant("word_level.words", kills=ids("TOK", 18), bug="generic")
def punctuation_stays_with_words(_: Honest, text: str) -> Iterator[str]:
    """Words are parted by white space alone, so that a full stop belongs to the word before it."""
    yield from text.split()


@mutant("word_level.words", kills=ids("TOK", 18), bug="generic")
def no_break_space_is_a_sign(honest: Honest, text: str) -> Any:
    """A no-break space is taken for a sign, and not for white space."""
    return honest(text.replace("\xa0", "\xad"))


@mutant("word_level.words", kills=ids("TOK", 18), bug="generic")
def marks_part_words(_: Honest, text: str) -> Iterator[str]:
    r"""What a word is made of is Python's ``\w``, which has neither marks nor joiners."""
    yield from re.findall(r"\w+|[^\w\s]+", text)


@mutant("word_level.characters", kills=ids("TOK", 18), bug="generic")
def characters_are_utf16_units(honest: Honest, text: str) -> Any:
    """Characters are units of UTF-16, so that one beyond U+FFFF is two unknown ones."""
    units = text.encode("utf-16-le")
    return honest([chr(units[at] | units[at + 1] << 8) for at in range(0, len(units), 2)])


@mutant("word_level.characters", kills=ids("TOK", 18), bug="generic")
def characters_are_bytes(honest: Honest, text: str) -> Any:
    """Characters are the bytes of UTF-8."""
    return honest(text.encode().decode("latin-1"))


@mutant("word_level.characters", kills=ids("TOK", 18), bug="generic")
def characters_are_graphemes(honest: Honest, text: str) -> Any:
    """A letter with the marks behind it is one character, and so is a line end of two."""
    return honest(re.findall("\r\n|.[\u0300-\u036f]*", text, re.DOTALL))
