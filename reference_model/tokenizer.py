"""A byte-level BPE tokenizer, to be read from top to bottom: text to ids, and ids to text.

Text is cut into words, a word into its bytes in UTF-8, and neighbours are merged as they were
learnt (Sennrich et al. 2016; Radford et al. 2019, section 2.2). So every text has ids, and they
lead back to the very same text. Words are those of Llama 3, told in ``pretokens``.
"""

from __future__ import annotations

import codecs
import functools
import itertools
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reference_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OWN = Path(__file__).with_name("bpe") / "tokenizer.json"
"""The suite's tokenizer, trained by ``train_tokenizer.py``."""
SPACES = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}
"""Unicode's property White_Space. ``str.isspace`` takes U+001C to U+001F for spaces, too."""
_NEWLINES = frozenset("\r\n")
_CONTRACTIONS = ("'re", "'ve", "'ll", "'s", "'t", "'m", "'d")
_DIGITS = 3
"""Numbers are cut into groups of so many digits, from their beginning."""


def _byte_characters() -> dict[int, str]:
    """Return the character that stands for each byte in a tokenizer.json.

    Printable ones of Latin-1 for themselves, all others by those from U+0100 on (Radford et al.
    2019, ``bytes_to_unicode``).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(0x100 + place) for place, byte in enumerate(others)
    }


BYTE_TO_CHAR = _byte_characters()
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What ``pretokens`` does, as a tokenizer.json says it."""


@dataclass(frozen=True, slots=True)
class Token:
    """An id with the span (start, end) of the text that it stands for, in code points.

    A token that ends inside a character stands for the whole of it, and so does the next one; one
    that was put before or behind the text stands for nothing.
    """

    id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A vocabulary, and the order in which its merges were learnt."""

    tokens: Mapping[int, bytes]
    """The bytes of each id; of an added token, those of its spelling."""
    ids: Mapping[bytes, int]
    """The id of each piece that merges make."""
    ranks: Mapping[tuple[bytes, bytes], int]
    """Which pairs are merged: those learnt first come first."""
    special: Mapping[str, int]
    """Tokens that steer a model. Text is never taken for one, unless that is asked for."""
    added: Mapping[str, int]
    """Further tokens with a spelling of their own, which are text as any other."""
    bos: int
    eos: int

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[Token]:
        """Return the tokens of a text.

        Args:
            text: any text without lone surrogates.
            add_special: whether bos is put before it and eos behind.
            parse_special: whether a special token's spelling stands for that token.
        """
        spelled = {**self.added, **self.special} if parse_special else self.added
        found = []
        for section in sections(text, spelled):
            if section in spelled:
                found.append(spelled[section])
            else:
                for word in pretokens(section):
                    found += [self.ids[piece] for piece in merged(word.encode(), self.ranks)]
        tokens = spans(found, [self.tokens[one] for one in found])
        if not add_special:
            return tokens
        return [Token(self.bos, 0, 0), *tokens, Token(self.eos, len(text), len(text))]

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        """Return the text of ids; bytes that are no UTF-8 become U+FFFD."""
        return joined([self.bytes_of(one, skip_special=skip_special) for one in ids])

    def bytes_of(self, one: int, *, skip_special: bool) -> bytes:
        """Return the bytes of an id; none of an id without a token, and of what is skipped."""
        if skip_special and one in self.special.values():
            return b""
        return self.tokens.get(one, b"")

    def stream(self, *, skip_special: bool) -> Stream:
        """Return what turns ids into text as they come."""
        return Stream(self, skip_special=skip_special)


class Stream:
    """Ids come, text goes out: characters as soon as they are whole, and none before."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool) -> None:
        self.tokenizer, self.skip_special = tokenizer, skip_special
        self.pending = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """Take one more id; return the characters that are whole now."""
        return self.pending.decode(self.tokenizer.bytes_of(token, skip_special=self.skip_special))

    def finish(self) -> str:
        """Return what is left: U+FFFD, where the last character never became whole."""
        return self.pending.decode(b"", final=True)


def sections(text: str, spelled: Mapping[str, int]) -> Iterator[str]:
    """Cut a text before and behind each spelled token; of two at one place the longer counts."""
    by_length = sorted(spelled, key=len, reverse=True)
    start = place = 0
    while place < len(text):
        found = next((one for one in by_length if text.startswith(one, place)), "")
        if found:
            yield from filter(None, (text[start:place], found))
            start = place = place + len(found)
        else:
            place += 1
    if text[start:]:
        yield text[start:]


def pretokens(text: str) -> Iterator[str]:
    """Cut a text into words, over whose borders nothing is merged.

    The first of these that fits, as Llama 3's pattern has them: a contraction; letters, with one
    character before them that is neither letter, number nor line break; up to three digits; other
    characters, with a space before and line breaks behind; spaces up to the last line break; spaces
    but the last, which belongs to what follows; spaces.
    """
    place = 0
    while place < len(text):
        end = _end_of_word(text, place)
        yield text[place:end]
        place = end


def _end_of_word(text: str, at: int) -> int:
    for one in _CONTRACTIONS:
        if text[at : at + len(one)].casefold() == one:  # as U+017F is an s to those who fold
            return at + len(one)
    lead = at if _kind(text[at]) == "L" else at + 1
    if text[at] not in _NEWLINES and _kind(text[at]) != "N" and _run(text, lead, "L") > lead:
        return _run(text, lead, "L")
    if _kind(text[at]) == "N":
        return min(_run(text, at, "N"), at + _DIGITS)
    lead = at + (text[at] == " ")
    if _run(text, lead, "") > lead:
        end = _run(text, lead, "")
        return end + len(text[end:]) - len(text[end:].lstrip("\r\n"))
    end = _run(text, at, "S")
    last = max(text.rfind(one, at, end) for one in _NEWLINES)
    if last >= 0:
        return last + 1
    return end if end == len(text) or end == at + 1 else end - 1


def _run(text: str, at: int, kind: str) -> int:
    """Return where characters of one kind end that begin here."""
    while at < len(text) and _kind(text[at]) == kind:
        at += 1
    return at


def _kind(character: str) -> str:
    """Return ``S`` of a space, ``L`` of a letter, ``N`` of a number, and nothing of all else."""
    if character in SPACES:
        return "S"
    category = unicodedata.category(character)[0]
    return category if category in "LN" else ""


def merged(word: bytes, ranks: Mapping[tuple[bytes, bytes], int]) -> list[bytes]:
    """Return a word's pieces: of all neighbours that can be merged, first those learnt first."""
    pieces = [bytes([byte]) for byte in word]
    while len(pieces) > 1:
        known = {pair: ranks[pair] for pair in itertools.pairwise(pieces) if pair in ranks}
        if not known:
            break
        pieces = merge(pieces, min(known, key=known.__getitem__))
    return pieces


def merge(pieces: Sequence[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    """Return pieces in which a pair is one, wherever it stands, from the left."""
    found: list[bytes] = []
    at = 0
    while at < len(pieces):
        both = tuple(pieces[at : at + 2]) == pair
        found.append(b"".join(pieces[at : at + 1 + both]))
        at += 1 + both
    return found


def spans(ids: Sequence[int], pieces: Sequence[bytes]) -> list[Token]:
    """Return tokens whose pieces make up a text, with the characters that each of them touches."""
    found, characters = [], 0
    for one, piece in zip(ids, pieces, strict=True):
        start = characters - _continues(piece[0])
        characters += sum(not _continues(byte) for byte in piece)
        found.append(Token(one, start, characters))
    return found


def _continues(byte: int) -> bool:
    """Return whether a byte goes on with a character, as UTF-8 marks it."""
    return byte & 0xC0 == 0x80


def joined(pieces: Sequence[bytes]) -> str:
    """Return the text of bytes; what is no UTF-8 becomes U+FFFD, once for what could have begun."""
    return b"".join(pieces).decode(errors="replace")


@functools.cache
def own() -> Tokenizer:
    """Return the suite's tokenizer."""
    return load(OWN)


def load(file: Path = OWN) -> Tokenizer:
    """Read a tokenizer.json as ``train_tokenizer.py`` writes it.

    Raises:
        ConfigError: it is of another kind.
    """
    told = json.loads(file.read_text(encoding="utf-8"))
    model, template = told["model"], told["post_processor"]["single"]
    if model["type"] != "BPE" or told["normalizer"] is not None or len(template) != 3:
        raise ConfigError(f"{file}: wanted BPE on bytes, no normalizer, and a text between two ids")
    char_to_byte = {character: byte for byte, character in BYTE_TO_CHAR.items()}
    ids = {bytes(char_to_byte[c] for c in piece): one for piece, one in model["vocab"].items()}
    pairs = (tuple(bytes(char_to_byte[c] for c in one) for one in p) for p in model["merges"])
    spelled = {one["content"]: (one["id"], one["special"]) for one in told["added_tokens"]}
    ends = [one["SpecialToken"]["id"] for one in (template[0], template[2])]
    return Tokenizer(
        tokens={one: piece for piece, one in ids.items()}
        | {one: text.encode() for text, (one, _) in spelled.items()},
        ids=ids,
        ranks={(left, right): rank for rank, (left, right) in enumerate(pairs)},
        special={text: one for text, (one, special) in spelled.items() if special},
        added={text: one for text, (one, special) in spelled.items() if not special},
        bos=spelled[ends[0]][0],
        eos=spelled[ends[1]][0],
    )
