"""What a tokenizer.json of any kind says: added tokens, a normalisation, patterns, a template."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from conformance.errors import FormatError
from conformance.oracles.unicode_pattern import check, compiled

if TYPE_CHECKING:
    from conformance.records import TokenizerFacts

Step = Callable[[str], Iterator[str]]
"""Cuts a piece of text into smaller ones."""

_FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer.json that is understood completely; each kind of model knows its own words."""

    facts: TokenizerFacts
    special: Mapping[str, int]
    """Added tokens that are special, one for unknown words among them."""
    added: Mapping[str, int]
    """Added tokens that are not special: they are found in any text."""
    promises: frozenset[str]
    """The capabilities of text and places that every tokenizer has which does what it says."""
    steps: Sequence[Step]
    """How normalised text is cut into words, one after the other."""

    def ids(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the ids of a text."""
        facts = self.facts
        spelled = {**self.added, **self.special} if parse_special else self.added
        found = []
        for part, spelling in _split(text, spelled):
            found += [spelled[part]] if spelling else self._of_text(part)
        if not add_special:
            return found
        before, behind = ([] if one is None else [one] for one in (facts.bos, facts.eos))
        return [*before, *found, *behind]

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        raise NotImplementedError

    @property
    def words(self) -> tuple[str, ...]:
        """What stands in the vocabulary as it stands in text; nothing where that are bytes."""
        return ()

    def _of_text(self, text: str) -> list[int]:
        form = self.facts.normalisation
        pieces = [text if form == "none" else unicodedata.normalize(form, text)]  # type: ignore[arg-type]
        for step in self.steps:
            pieces = [part for piece in pieces for part in step(piece)]
        return [one for piece in pieces for one in self._of_word(piece)]

    def _of_word(self, word: str) -> list[int]:
        raise NotImplementedError


@dataclass(frozen=True)
class Common:
    """What is said beside the model, the cuts and the decoder."""

    form: str
    special: Mapping[str, int]
    spelled: Mapping[str, int]
    bos: int | None
    eos: int | None
    trims: bool

    @property
    def added(self) -> dict[str, int]:
        """The added tokens that are not special."""
        return {text: one for text, one in self.spelled.items() if text not in self.special}


def common(told: Mapping[str, Any]) -> Common:
    """Read what files of all kinds say alike.

    Raises:
        FormatError: something in it is not understood completely.
    """
    for key in ("truncation", "padding"):
        if told.get(key) is not None:
            refuse(f"{key} is switched on, so that ids are lost or added", f"/{key}")
    added = told.get("added_tokens") or []
    form = _normalisation(told.get("normalizer"))
    for place, one in enumerate(added):
        _check_added(one, form, place)
    special = {one["content"]: one["id"] for one in added if one["special"]}
    bos, eos, trims = _ends(told.get("post_processor"), special)
    return Common(form, special, {one["content"]: one["id"] for one in added}, bos, eos, trims)


def _split(text: str, spelled: Mapping[str, int]) -> Iterator[tuple[str, bool]]:
    """Cut a text at the tokens that it spells; the leftmost counts, and of those the longest."""
    while spelled:
        places = ((text.find(one), -len(one), one) for one in spelled)
        first = min((place for place in places if place[0] >= 0), default=None)
        if first is None:
            break
        at, _, one = first
        if at:
            yield text[:at], False
        yield one, True
        text = text[at + len(one) :]
    if text:
        yield text, False


def _normalisation(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "none"
    if told["type"] not in _FORMS:
        refuse(f"is {told['type']!r}; understood are {', '.join(_FORMS)}", "/normalizer/type")
    return str(told["type"])


def _check_added(one: Mapping[str, Any], form: str, place: int) -> None:
    flags = ["single_word", "lstrip", "rstrip", *(["normalized"] if form != "none" else [])]
    for flag in flags:
        if one.get(flag):
            refuse(
                f"{one['content']!r} is found by rules of its own", f"/added_tokens/{place}/{flag}"
            )


def splitting(told: Mapping[str, Any]) -> Step:
    """Return what a pre-tokenizer cuts, which has to be a Split by a pattern that keeps all."""
    if told["type"] != "Split" or told["behavior"] != "Isolated" or told.get("invert"):
        refuse(f"{told['type']!r} is understood only as Split, Isolated", "/pre_tokenizer")
    if "Regex" not in told["pattern"]:
        refuse("a Split by plain text is not understood", "/pre_tokenizer")
    return isolating(told["pattern"]["Regex"])


def isolating(pattern: str) -> Step:
    """Return what cuts a text into the matches of a pattern and what lies between them."""
    check(pattern)

    def cut(text: str) -> Iterator[str]:
        end = 0
        for match in compiled(pattern).finditer(text):
            yield from filter(None, (text[end : match.start()], match[0]))
            end = match.end()
        yield from filter(None, (text[end:],))

    return cut


def _ends(
    told: Mapping[str, Any] | None, special: Mapping[str, int]
) -> tuple[int | None, int | None, bool]:
    """Return the ids before and behind a text, and whether spaces are trimmed from offsets."""
    if told is None:
        return None, None, False
    parts = told["processors"] if told["type"] == "Sequence" else [told]
    bos = eos = None
    trims = False
    for part in parts:
        if part["type"] == "ByteLevel":
            trims = bool(part.get("trim_offsets", True))
        elif part["type"] == "TemplateProcessing" and bos is None and eos is None:
            bos, eos = _template(part["single"], special)
        else:
            refuse(f"{part['type']!r} is not understood", "/post_processor")
    return bos, eos, trims


def _template(
    single: Sequence[Mapping[str, Any]], special: Mapping[str, int]
) -> tuple[int | None, int | None]:
    at = next(place for place, part in enumerate(single) if "Sequence" in part)
    names = [
        [part["SpecialToken"]["id"] for part in side] for side in (single[:at], single[at + 1 :])
    ]
    if any(len(side) > 1 or not {*side} <= {*special} for side in names):
        refuse("puts more than one special token before or behind a text", "/post_processor")
    bos, eos = (special[side[0]] if side else None for side in names)
    return bos, eos


def refuse(what: str, pointer: str) -> NoReturn:
    """Refuse what is not understood completely."""
    raise FormatError("L3-TOKENIZER-UNKNOWN", what, pointer)
