"""What a tokenizer.json says, computed from its words: ids, bytes, and the facts that follow.

Byte-level BPE, as GPT-2, Llama 3, Qwen and most decoders since have it (Sennrich et al. 2016;
Radford et al. 2019), is read here: patterns, merges. WordLevel stands in ``word_level``, what both
have in ``tokenizer_parts``. A file of another kind is refused with what it has, so that nothing is
held against half of what it says.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.errors import FormatError
from conformance.oracles import word_level
from conformance.oracles.text import joined
from conformance.oracles.tokenizer_parts import (
    Step,
    TokenizerFile,
    common,
    isolating,
    refuse,
    splitting,
)
from conformance.records import TokenizerFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROMISES = frozenset({"lossless_text", "joined_text", "token_bytes", "token_offsets"})
"""What holds wherever ids stand for bytes."""
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""The pattern of a ByteLevel that cuts by itself (openai/gpt-2, encoder.py)."""
_LATIN = (range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100))
_NO_VALUES: tuple[Any, ...] = (None, "", False, 0, 0.0)


def _alphabet() -> list[str]:
    """Return the character that stands for each byte (openai/gpt-2, bytes_to_unicode)."""
    own = {code for run in _LATIN for code in run}
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in own else chr(next(spare)) for byte in range(256)]


ALPHABET = _alphabet()
_BYTES = {character: byte for byte, character in enumerate(ALPHABET)}


@dataclass(frozen=True)
class ByteLevelFile(TokenizerFile):
    """A tokenizer.json of byte-level BPE."""

    _vocabulary: Mapping[str, int]
    _pieces: Mapping[int, bytes]
    _ranks: Mapping[tuple[str, str], int]
    _whole_words: bool
    """Whether a word that stands in the vocabulary is never merged: ``ignore_merges``."""

    def bytes_of(self, one: int) -> bytes:
        """Return the bytes of an id; none where no token has it."""
        return self._pieces.get(one, b"")

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids: their bytes, joined."""
        return joined([self.bytes_of(one) for one in ids])

    def _of_word(self, word: str) -> list[int]:
        letters = "".join(ALPHABET[byte] for byte in word.encode())
        if self._whole_words and letters in self._vocabulary:
            return [self._vocabulary[letters]]
        return [self._vocabulary[piece] for piece in _merged(letters, self._ranks)]


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
    if told["model"].get("type") == "WordLevel":
        return word_level.read(told, path)
    return _byte_level(told, path)


def _byte_level(told: Mapping[str, Any], path: str) -> ByteLevelFile:
    beside, model = common(told), told["model"]
    _check_model(model)
    steps, prefixed = _steps(told.get("pre_tokenizer"))
    _check_decoder(told.get("decoder"))
    spelled = beside.spelled
    pieces = {one: _piece(text) for text, one in model["vocab"].items() if text not in spelled}
    pieces |= {one: text.encode() for text, one in spelled.items()}
    return ByteLevelFile(
        facts=TokenizerFacts(
            size=max(pieces) + 1,
            special=beside.special,
            bos=beside.bos,
            eos=beside.eos,
            normalisation=beside.form,
            prefix_space="kept" if prefixed else "none",
            trims_offsets=beside.trims,
            file=path,
        ),
        special=beside.special,
        added=beside.added,
        promises=PROMISES,
        steps=steps,
        _vocabulary=model["vocab"],
        _pieces=pieces,
        _ranks={_pair(one): rank for rank, one in enumerate(model["merges"])},
        _whole_words=bool(model.get("ignore_merges")),
    )


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    """Return a merge of either notation: a pair, or (before tokenizers 0.20) both with a space."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _piece(text: str) -> bytes:
    """Return the bytes that a piece of the vocabulary is written for."""
    if not all(character in _BYTES for character in text):
        refuse(f"the token {text!r} is not written in bytes", "/model/vocab")
    return bytes(_BYTES[character] for character in text)


def _check_model(model: Mapping[str, Any]) -> None:
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        refuse(
            f"the model is {model.get('type')!r}; understood are BPE and WordLevel", "/model/type"
        )
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(key) not in _NO_VALUES:
            refuse(f"is {model[key]!r}", f"/model/{key}")
    if missing := [one for one in ALPHABET if one not in model["vocab"]]:
        refuse(f"{len(missing)} bytes have no token: not every text has ids", "/model/vocab")


def _steps(told: Mapping[str, Any] | None) -> tuple[list[Step], bool]:
    """Return how text is cut, and whether a space is put before it."""
    if told is None:
        refuse("is missing: text is not made of bytes", "/pre_tokenizer")
    parts = told["pretokenizers"] if told["type"] == "Sequence" else [told]
    if not parts or parts[-1]["type"] != "ByteLevel":
        refuse("does not end in ByteLevel", "/pre_tokenizer")
    found = [splitting(part) for part in parts[:-1]]
    prefixed = bool(parts[-1].get("add_prefix_space", True))
    if prefixed and found:
        refuse("puts a space before every piece that others have cut", "/pre_tokenizer")
    if prefixed:
        found.append(_with_space)
    if parts[-1].get("use_regex", True):
        found.append(isolating(GPT2))
    return found, prefixed


def _with_space(text: str) -> Iterator[str]:
    yield text if text.startswith(" ") else f" {text}"


def _check_decoder(told: Mapping[str, Any] | None) -> None:
    if told is None or told["type"] != "ByteLevel":
        refuse("is not ByteLevel, so that text is not the bytes of its ids", "/decoder")
