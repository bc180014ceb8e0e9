"""What a tokenizer.json says, computed from its words: ids, bytes, and the facts that follow.

Byte-level BPE, as GPT-2, Llama 3, Qwen and most decoders since have it (Sennrich et al. 2016;
Radford et al. 2019): added tokens, normalisation, patterns, merges, a template. A file of another
kind is refused with what it has, so that nothing is held against half of what it says.
"""

from __future__ import annotations

import heapq
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from conformance.errors import FormatError
from conformance.oracles.unicode_pattern import check, compiled
from conformance.records import TokenizerFacts

Step = Callable[[str], Iterator[str]]
"""Cuts a piece of text into smaller ones."""

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""The pattern of a ByteLevel that cuts by itself (openai/gpt-2, encoder.py)."""
_LATIN = (range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100))
_FORMS = ("NFC", "NFD", "NFKC", "NFKD")
_NO_VALUES: tuple[Any, ...] = (None, "", False, 0, 0.0)


def _alphabet() -> list[str]:
    """Return the character that stands for each byte (openai/gpt-2, bytes_to_unicode)."""
    own = {code for run in _LATIN for code in run}
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in own else chr(next(spare)) for byte in range(256)]


ALPHABET = _alphabet()
_BYTES = {character: byte for byte, character in enumerate(ALPHABET)}


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer.json that is understood completely."""

    facts: TokenizerFacts
    _vocabulary: Mapping[str, int]
    _pieces: Mapping[int, bytes]
    _ranks: Mapping[tuple[str, str], int]
    added: Mapping[str, int]
    """Added tokens that are not special: they are found in any text."""
    _steps: Sequence[Step]
    _whole_words: bool
    """Whether a word that stands in the vocabulary is never merged: ``ignore_merges``."""

    def ids(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the ids of a text."""
        facts = self.facts
        spelled = {**self.added, **facts.special} if parse_special else self.added
        found = []
        for part, spelling in _split(text, spelled):
            found += [spelled[part]] if spelling else self._of_text(part)
        if not add_special:
            return found
        before, behind = ([] if one is None else [one] for one in (facts.bos, facts.eos))
        return [*before, *found, *behind]

    def bytes_of(self, one: int) -> bytes:
        """Return the bytes of an id; none where no token has it."""
        return self._pieces.get(one, b"")

    def _of_text(self, text: str) -> list[int]:
        form = self.facts.normalisation
        pieces = [text if form == "none" else unicodedata.normalize(form, text)]  # type: ignore[arg-type]
        for step in self._steps:
            pieces = [part for piece in pieces for part in step(piece)]
        return [one for piece in pieces for one in self._of_word(piece)]

    def _of_word(self, word: str) -> list[int]:
        letters = "".join(ALPHABET[byte] for byte in word.encode())
        if self._whole_words and letters in self._vocabulary:
            return [self._vocabulary[letters]]
        return [self._vocabulary[piece] for piece in _merged(letters, self._ranks)]


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


def _merged(letters: str, ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Return a word's pieces, merged by the lowest rank, the leftmost first."""
    pieces: list[str] = list(letters)
    behind = [*range(1, len(pieces)), -1]
    before = [*range(-1, len(pieces) - 1)]
    queue: list[tuple[int, int, str, str]] = []

    def offer(left: int) -> None:
        right = behind[left] if left >= 0 else -1
        if right >= 0 and (pieces[left], pieces[right]) in ranks:
            pair = pieces[left], pieces[right]
            heapq.heappush(queue, (ranks[pair], left, *pair))

    for left in range(len(pieces)):
        offer(left)
    while queue:
        _, left, one, other = heapq.heappop(queue)
        right = behind[left]
        if right < 0 or (pieces[left], pieces[right]) != (one, other):
            continue  # one of the two has been merged since
        pieces[left], pieces[right] = one + other, ""
        behind[left] = behind[right]
        if behind[left] >= 0:
            before[behind[left]] = left
        offer(before[left])
        offer(left)
    return [piece for piece in pieces if piece]


def read(path: str | Path) -> TokenizerFile:
    """Read a tokenizer.json.

    Raises:
        FormatError: it is no JSON, or says something that is not understood completely.
    """
    try:
        told = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise FormatError("L1-JSON", f"cannot be read: {error}", "", str(path)) from error
    try:
        return _read(told, str(path))
    except FormatError as error:
        raise error.in_file(str(path)) from error
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        detail = f"is no tokenizer.json that is understood: {type(error).__name__} {error}"
        raise FormatError("L2-TOKENIZER", detail, "", str(path)) from error


def _read(told: Mapping[str, Any], path: str) -> TokenizerFile:
    for key in ("truncation", "padding"):
        if told.get(key) is not None:
            _refuse(f"{key} is switched on, so that ids are lost or added", f"/{key}")
    model = told["model"]
    _check_model(model)
    added = told.get("added_tokens") or []
    form = _normalisation(told.get("normalizer"))
    for place, one in enumerate(added):
        _check_added(one, form, place)
    steps, prefixed = _steps(told.get("pre_tokenizer"))
    _check_decoder(told.get("decoder"))
    special = {one["content"]: one["id"] for one in added if one["special"]}
    bos, eos, trims = _ends(told.get("post_processor"), special)
    spelled = {one["content"]: one["id"] for one in added}
    pieces = {one: _piece(text) for text, one in model["vocab"].items() if text not in spelled}
    pieces |= {one: text.encode() for text, one in spelled.items()}
    return TokenizerFile(
        facts=TokenizerFacts(
            size=max(pieces) + 1,
            special=special,
            bos=bos,
            eos=eos,
            normalisation=form,
            prefix_space="kept" if prefixed else "none",
            trims_offsets=trims,
            file=path,
        ),
        _vocabulary=model["vocab"],
        _pieces=pieces,
        _ranks={_pair(one): rank for rank, one in enumerate(model["merges"])},
        added={text: one for text, one in spelled.items() if text not in special},
        _steps=steps,
        _whole_words=bool(model.get("ignore_merges")),
    )


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    """Return a merge of either notation: a pair, or (before tokenizers 0.20) both with a space."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _piece(text: str) -> bytes:
    """Return the bytes that a piece of the vocabulary is written for."""
    if not all(character in _BYTES for character in text):
        _refuse(f"the token {text!r} is not written in bytes", "/model/vocab")
    return bytes(_BYTES[character] for character in text)


def _check_model(model: Mapping[str, Any]) -> None:
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        _refuse(f"the model is {model.get('type')!r}; understood is BPE", "/model/type")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(key) not in _NO_VALUES:
            _refuse(f"is {model[key]!r}", f"/model/{key}")
    if missing := [one for one in ALPHABET if one not in model["vocab"]]:
        _refuse(f"{len(missing)} bytes have no token: not every text has ids", "/model/vocab")


def _normalisation(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "none"
    if told["type"] not in _FORMS:
        _refuse(f"is {told['type']!r}; understood are {', '.join(_FORMS)}", "/normalizer/type")
    return str(told["type"])


def _check_added(one: Mapping[str, Any], form: str, place: int) -> None:
    flags = ["single_word", "lstrip", "rstrip", *(["normalized"] if form != "none" else [])]
    for flag in flags:
        if one.get(flag):
            _refuse(
                f"{one['content']!r} is found by rules of its own", f"/added_tokens/{place}/{flag}"
            )


def _steps(told: Mapping[str, Any] | None) -> tuple[list[Step], bool]:
    """Return how text is cut, and whether a space is put before it."""
    if told is None:
        _refuse("is missing: text is not made of bytes", "/pre_tokenizer")
    parts = told["pretokenizers"] if told["type"] == "Sequence" else [told]
    if not parts or parts[-1]["type"] != "ByteLevel":
        _refuse("does not end in ByteLevel", "/pre_tokenizer")
    found = [_splitting(part) for part in parts[:-1]]
    prefixed = bool(parts[-1].get("add_prefix_space", True))
    if prefixed and found:
        _refuse("puts a space before every piece that others have cut", "/pre_tokenizer")
    if prefixed:
        found.append(_with_space)
    if parts[-1].get("use_regex", True):
        found.append(_isolating(GPT2))
    return found, prefixed


def _with_space(text: str) -> Iterator[str]:
    yield text if text.startswith(" ") else f" {text}"


def _splitting(told: Mapping[str, Any]) -> Step:
    if told["type"] != "Split" or told["behavior"] != "Isolated" or told.get("invert"):
        _refuse(f"{told['type']!r} is understood only as Split, Isolated", "/pre_tokenizer")
    if "Regex" not in told["pattern"]:
        _refuse("a Split by plain text is not understood", "/pre_tokenizer")
    return _isolating(told["pattern"]["Regex"])


def _isolating(pattern: str) -> Step:
    """Return what cuts a text into the matches of a pattern and what lies between them."""
    check(pattern)

    def cut(text: str) -> Iterator[str]:
        end = 0
        for match in compiled(pattern).finditer(text):
            yield from filter(None, (text[end : match.start()], match[0]))
            end = match.end()
        yield from filter(None, (text[end:],))

    return cut


def _check_decoder(told: Mapping[str, Any] | None) -> None:
    if told is None or told["type"] != "ByteLevel":
        _refuse("is not ByteLevel, so that text is not the bytes of its ids", "/decoder")


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
            _refuse(f"{part['type']!r} is not understood", "/post_processor")
    return bos, eos, trims


def _template(
    single: Sequence[Mapping[str, Any]], special: Mapping[str, int]
) -> tuple[int | None, int | None]:
    at = next(place for place, part in enumerate(single) if "Sequence" in part)
    names = [
        [part["SpecialToken"]["id"] for part in side] for side in (single[:at], single[at + 1 :])
    ]
    if any(len(side) > 1 or not {*side} <= {*special} for side in names):
        _refuse("puts more than one special token before or behind a text", "/post_processor")
    bos, eos = (special[side[0]] if side else None for side in names)
    return bos, eos


def _refuse(what: str, pointer: str) -> NoReturn:
    raise FormatError("L3-TOKENIZER-UNKNOWN", what, pointer)
