r"""Tokenizers whose ids are whole words, or single characters: WordLevel in a tokenizer.json.

A word that the vocabulary lacks is one unknown token, so that not every text comes back. A
character is a Unicode scalar value: no byte, no unit of UTF-16, no grapheme. Words are cut by
Whitespace (``\w+|[^\w\s]+``), by WhitespaceSplit, or by a Split at each character.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from conformance.oracles.tokenizer_parts import Common, Step, TokenizerFile, common, refuse
from conformance.oracles.unicode_pattern import WHITE_SPACE
from conformance.records import TokenizerFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_JOINERS = (0x200C, 0x200D)
_ALPHABETIC_SYMBOLS = (
    range(0x24B6, 0x24EA),
    range(0x1F130, 0x1F14A),
    range(0x1F150, 0x1F16A),
    range(0x1F170, 0x1F18A),
)
"""Other_Alphabetic (PropList.txt) that is neither letter nor mark: letters in circles, squares."""
_ANY_CHARACTER = ("", r"[\s\S]")
"""Patterns that cut at each character. A dot is none of them: it stops at line feeds."""


@dataclass(frozen=True)
class WordFile(TokenizerFile):
    """A tokenizer.json of WordLevel."""

    _vocabulary: Mapping[str, int]
    _spellings: Mapping[int, str]
    _unknown: int
    _between: str
    """What stands between the tokens of a decoded text."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the vocabulary."""
        return tuple(self._vocabulary)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids; one that no token has adds nothing."""
        return self._between.join(self._spellings[one] for one in ids if one in self._spellings)

    def _of_word(self, word: str) -> list[int]:
        return [self._vocabulary.get(word, self._unknown)]


def read(told: Mapping[str, Any], path: str) -> WordFile:
    """Read a tokenizer.json whose model is WordLevel.

    Raises:
        FormatError: something in it is not understood completely, or contradicts the rest.
    """
    beside, vocabulary = common(told), told["model"]["vocab"]
    if beside.trims:
        refuse("ByteLevel trims the offsets of what are no bytes", "/post_processor")
    unknown = _unknown(told["model"])
    spellings = _spellings(vocabulary, beside)
    step, whole = _cut(told.get("pre_tokenizer"))
    between = _between(told.get("decoder"))
    steering = {text: one for text, one in beside.special.items() if one != unknown}
    return WordFile(
        facts=TokenizerFacts(
            size=max(spellings) + 1,
            special=steering,
            bos=beside.bos,
            eos=beside.eos,
            normalisation=beside.form,
            file=path,
        ),
        special=beside.special,
        added=beside.added,
        promises=frozenset(
            {*(["joined_text"] if not between else []), *(["token_offsets"] if whole else [])}
        ),
        steps=[step],
        _vocabulary=vocabulary,
        _spellings=spellings,
        _unknown=unknown,
        _between=between,
    )


def _unknown(model: Mapping[str, Any]) -> int:
    token = model.get("unk_token")
    if token not in model["vocab"]:
        refuse(f"{token!r} is not in the vocabulary: not every text has ids", "/model/unk_token")
    return int(model["vocab"][token])


def _spellings(vocabulary: Mapping[str, int], beside: Common) -> dict[int, str]:
    """Return the token of each id, of which there is one."""
    for text, one in beside.spelled.items():
        if vocabulary.get(text, one) != one:
            refuse(
                f"{text!r} is {one} here, and {vocabulary[text]} in the vocabulary", "/added_tokens"
            )
    every = {**vocabulary, **beside.spelled}
    twice = [one for one, count in Counter(every.values()).items() if count > 1]
    if twice:
        names = [text for text, one in every.items() if one == twice[0]]
        refuse(f"the id {twice[0]} is that of {names[0]!r} and of {names[1]!r}", "/model/vocab")
    return {one: text for text, one in every.items()}


def _cut(told: Mapping[str, Any] | None) -> tuple[Step, bool]:
    """Return how text is cut into words, and whether every character is in one."""
    if told is None:
        refuse("is missing: a text would be one word", "/pre_tokenizer")
    if told["type"] in ("Whitespace", "WhitespaceSplit"):
        return (_words if told["type"] == "Whitespace" else _between_spaces), False
    pattern = told.get("pattern", {}).get("Regex")
    isolated = told.get("behavior") == "Isolated" and not told.get("invert")
    if told["type"] != "Split" or pattern not in _ANY_CHARACTER or not isolated:
        refuse(
            f"{told['type']!r} is understood only as Whitespace, WhitespaceSplit, or Split, "
            r"Isolated, at each character (Regex '' or '[\s\S]')",
            "/pre_tokenizer",
        )
    return iter, True


def _words(text: str) -> Iterator[str]:
    return _runs(text, _kind)


def _between_spaces(text: str) -> Iterator[str]:
    return _runs(text, _is_space)


def _runs(text: str, kind: Any) -> Iterator[str]:
    """Yield the longest runs of characters of a kind, white space left out."""
    for _, run in groupby(text, kind):
        word = "".join(run)
        if not _is_space(word[0]):
            yield word


def _is_space(character: str) -> bool:
    return ord(character) in WHITE_SPACE


def _kind(character: str) -> str:
    if _is_space(character):
        return "space"
    return "word" if _is_of_word(character) else "sign"


def _is_of_word(character: str) -> bool:
    r"""Return whether ``\w`` has a character (Unicode Technical Standard 18, annex C)."""
    category, code = unicodedata.category(character), ord(character)
    of_word = category[0] in "LM" or category in ("Nl", "Nd", "Pc") or code in _JOINERS
    return of_word or any(code in run for run in _ALPHABETIC_SYMBOLS)


def _between(told: Mapping[str, Any] | None) -> str:
    """Return what a decoder puts between tokens: a space, where there is none."""
    if told is not None and told["type"] != "Fuse":
        refuse(f"is {told['type']!r}; understood are none and Fuse", "/decoder")
    return " " if told is None else ""
