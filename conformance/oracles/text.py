"""What becomes of text by what is declared of a tokenizer; what its bytes say of text and places.

Nothing here knows a vocabulary. U+FFFD stands once for each maximal part of bytes that could have
begun a character and is none (Unicode 16, section 3.9; the WHATWG Encoding Standard decodes so).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conformance.records import TokenizerFacts

    Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

Span = tuple[int, int]
SPACE = " "


def normalised(text: str, facts: TokenizerFacts) -> str:
    """Return a text in the declared normalisation form."""
    if facts.normalisation == "none":
        return text
    return unicodedata.normalize(cast("Form", facts.normalisation), text)


def cut_text(text: str, facts: TokenizerFacts) -> str:
    """Return the text whose bytes the ids stand for: normalised, with the space before it."""
    text = normalised(text, facts)
    prefixed = facts.prefix_space != "none" and text and not text.startswith(SPACE)
    return SPACE + text if prefixed else text


def decoded_text(text: str, facts: TokenizerFacts) -> str:
    """Return what an encoded text is decoded to."""
    return cut_text(text, facts) if facts.prefix_space == "kept" else normalised(text, facts)


def joined(pieces: Sequence[bytes]) -> str:
    """Return the text of the bytes of ids."""
    return b"".join(pieces).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the text stands that an id is for: the spans that its offset may be.

    They differ where spaces that the id begins or ends with may be left out.
    """

    widest: Span
    narrowest: Span


def places(text: str, pieces: Sequence[bytes], facts: TokenizerFacts) -> list[Place | None]:
    """Return where each piece stands in a text; None for one that is nothing of it.

    In code points it is the least span of characters that holds the bytes of the piece: pieces that
    share a character overlap in it. A prefix space is no part of the text.

    Args:
        text: a text that normalisation leaves as it is.
        pieces: the bytes of its ids, in order; together those of the text, after a prefix space.
        facts: what is declared: the unit, the prefix space, whether spaces are left out.
    """
    shift = len(cut_text(text, facts).encode()) - len(text.encode())
    characters = _characters(text)
    found: list[Place | None] = []
    end = -shift
    for piece in pieces:
        start, end = end, end + len(piece)
        lead, tail = _spaces(piece) if facts.trims_offsets else (0, 0)
        whole, part = (max(0, start), end), (max(0, start + lead), max(0, start + lead, end - tail))
        spans = (_in_unit(*span, characters, facts) for span in (whole, part))
        found.append(Place(*spans) if end > max(0, start) else None)
    return found


def _spaces(piece: bytes) -> Span:
    """Return how many spaces a piece begins and ends with, each counted once."""
    lead = len(piece) - len(piece.lstrip(b" "))
    return lead, len(piece[lead:]) - len(piece[lead:].rstrip(b" "))


def _in_unit(start: int, end: int, characters: Sequence[int], facts: TokenizerFacts) -> Span:
    """Return a span of bytes in the declared unit."""
    if facts.offsets == "bytes":
        return start, end
    first = characters[start]
    return first, first if end <= start else characters[end - 1] + 1


def _characters(text: str) -> list[int]:
    """Return of each byte which character it belongs to, and of the end how many there are."""
    return [i for i, one in enumerate(text) for _ in one.encode()] + [len(text)]


def spelled_in(text: str, special: Mapping[str, int]) -> list[int]:
    """Return the special tokens that a text spells; the longest of those that begin alike."""
    found, at = [], 0
    while at < len(text):
        here = max((one for one in special if text.startswith(one, at)), key=len, default="")
        if here:
            found.append(special[here])
        at += len(here) or 1
    return found
