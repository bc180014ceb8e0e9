r"""Tokenizers whose ids are whole words or single characters, to be read from top to bottom.

Words are what ``\w+|[^\w\s]+`` finds, and decoded with a space between them; characters are Unicode
scalar values, and decoded as they come. What the vocabulary lacks is one unknown token, so that not
every text comes back.
"""

from __future__ import annotations

import functools
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reference_model.tokenizer import SPACES, sections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FILES = {
    "words": Path(__file__).with_name("words") / "tokenizer.json",
    "characters": Path(__file__).with_name("characters") / "tokenizer.json",
}
"""The suite's tokenizers of words and of characters."""
_JOINERS = "\u200c\u200d"
_LETTERS_IN_SHAPES = (
    ("\u24b6", "\u24e9"),
    ("\U0001f130", "\U0001f149"),
    ("\U0001f150", "\U0001f169"),
    ("\U0001f170", "\U0001f189"),
)
"""Symbols that are alphabetic all the same: letters in circles and squares."""


@dataclass(frozen=True, slots=True)
class WordTokenizer:
    """A vocabulary of words or of characters."""

    ids: Mapping[str, int]
    """The id of each word, or character."""
    unknown: int
    special: Mapping[str, int]
    """Tokens that are skipped where that is asked: those that steer a model, and the unknown."""
    added: Mapping[str, int]
    bos: int
    eos: int
    of_characters: bool

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the ids of a text; the arguments are those of ``tokenizer.Tokenizer``."""
        spelled = {**self.added, **self.special} if parse_special else self.added
        found = []
        for section in sections(text, spelled):
            if section in spelled:
                found.append(spelled[section])
            else:
                pieces = characters(section) if self.of_characters else words(section)
                found += ids_of(list(pieces), self.ids, self.unknown)
        return [self.bos, *found, self.eos] if add_special else found

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        """Return the text of ids; one that no token has adds nothing."""
        tokens = {one: text for text, one in {**self.ids, **self.added, **self.special}.items()}
        skipped = self.special.values() if skip_special else ()
        spoken = [tokens[one] for one in ids if one in tokens and one not in skipped]
        return ("" if self.of_characters else " ").join(spoken)


def words(text: str) -> Iterator[str]:
    """Cut a text into runs of letters, marks, digits and the like, and runs of other signs."""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or _kind(text[end]) != _kind(text[start]):
            if _kind(text[start]) != "space":
                yield text[start:end]
            start = end


def characters(text: str) -> Iterator[str]:
    """Cut a text into its code points."""
    yield from text


def ids_of(pieces: Sequence[str], ids: Mapping[str, int], unknown: int) -> list[int]:
    """Return the id of each piece."""
    return [ids.get(piece, unknown) for piece in pieces]


def _kind(character: str) -> str:
    if character in SPACES:
        return "space"
    category = unicodedata.category(character)
    if category.startswith(("L", "M")) or category in ("Nd", "Nl", "Pc") or character in _JOINERS:
        return "word"
    in_shape = any(first <= character <= last for first, last in _LETTERS_IN_SHAPES)
    return "word" if in_shape else "sign"


@functools.cache
def own(kind: str) -> WordTokenizer:
    """Return the suite's tokenizer of ``words`` or of ``characters``."""
    told = json.loads(FILES[kind].read_text(encoding="ascii"))
    model, template = told["model"], told["post_processor"]["single"]
    spelled = {one["content"]: (one["id"], one["special"]) for one in told["added_tokens"]}
    bos, eos = (spelled[template[side]["SpecialToken"]["id"]][0] for side in (0, 2))
    return WordTokenizer(
        ids=model["vocab"],
        unknown=model["vocab"][model["unk_token"]],
        special={text: one for text, (one, special) in spelled.items() if special},
        added={text: one for text, (one, special) in spelled.items() if not special},
        bos=bos,
        eos=eos,
        of_characters=told["pre_tokenizer"]["type"] == "Split",
    )
