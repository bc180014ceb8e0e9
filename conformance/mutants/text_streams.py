"""Faults of ids on their way to text: all at once, and one by one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._calls import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]

_TIDIED = {" .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'", " n't": "n't", " 's": "'s"}
"""What a clean-up written for WordPiece replaces."""
_SPECIAL = range(496, 499)


@mutant("decode", kills=ids("TOK", 2, 12), bug="huggingface/transformers#32575")
def decoded_text_tidied(honest: Honest, rows: Any, **asked: bool) -> Any:
    """Spaces before punctuation and contractions are taken out of decoded text."""
    found = honest(rows, **asked)
    for old, new in _TIDIED.items():
        found = [text.replace(old, new) for text in found]
    return found


@mutant("decode", kills=ids("TOK", 2, 11, 12), bug="generic")
def decoded_text_without_its_first_space(honest: Honest, rows: Any, **asked: bool) -> Any:
    """Decoded text loses the space that it begins with, as if it had been put there."""
    return [text.removeprefix(" ") for text in honest(rows, **asked)]


@mutant("decode", kills=ids("TOK", 11), bug="generic")
def decoded_texts_with_one_mark(honest: Honest, rows: Any, **asked: bool) -> Any:
    """Of several U+FEFF in decoded text the first alone stays: others are taken for text joined."""
    found = honest(rows, **asked)
    places = [text.find("\ufeff") + 1 for text in found]
    return [t[:at] + t[at:].replace("\ufeff", "") for t, at in zip(found, places, strict=True)]


@mutant("tokenizer.joined", kills=ids("TOK", 2, 12), bug="exo-explore/exo#1691")
def ids_decoded_one_by_one(_: Honest, pieces: Any) -> Any:
    """Each id is decoded by itself, so that characters of several ids become U+FFFD."""
    return "".join(piece.decode(errors="replace") for piece in pieces)


@mutant("tokenizer.joined", kills=ids("TOK", 12), bug="generic")
def broken_bytes_dropped(_: Honest, pieces: Any) -> Any:
    """Bytes that are no UTF-8 are dropped."""
    return b"".join(pieces).decode(errors="ignore")


@mutant("tokenizer.joined", kills=ids("TOK", 12), bug="generic")
def broken_bytes_marked_once(honest: Honest, pieces: Any) -> Any:
    """Several U+FFFD in a row become one."""
    return re.sub("\ufffd+", "\ufffd", honest(pieces))


@mutant("tokenizer.joined", kills=ids("TOK", 12), bug="generic")
def broken_bytes_marked_one_by_one(_: Honest, pieces: Any) -> Any:
    """Each byte that is no UTF-8 becomes a U+FFFD of its own."""
    text = b"".join(pieces).decode(errors="surrogateescape")
    return re.sub("[\udc80-\udcff]", "\ufffd", text)


@mutant("tokenizer.joined", kills=ids("TOK", 2, 12), bug="abetlen/llama-cpp-python#2362")
def long_spaces_decoded_to_nothing(honest: Honest, pieces: Any) -> Any:
    """An id that stands for several spaces is decoded to nothing."""
    return honest([b"" if len(piece) > 1 and piece.isspace() else piece for piece in pieces])


@mutant("token_bytes", kills=ids("TOK", 12), bug="generic")
def bytes_as_they_are_written(_: Honest, wanted: Any) -> Any:
    """The bytes of an id are those of the characters by which the file writes it."""
    from reference_model.tokenizer import BYTE_TO_CHAR, own  # noqa: PLC0415

    pieces = (own().tokens.get(one, b"") for one in wanted)
    return ["".join(BYTE_TO_CHAR[byte] for byte in piece).encode() for piece in pieces]


@mutant("decode", kills=ids("TOK", 9), bug="huggingface/transformers#10202")
def special_tokens_not_skipped(honest: Honest, rows: Any, **asked: bool) -> Any:
    """Special tokens are spelled out, whatever was asked."""
    del asked
    return honest(rows, skip_special=False)


@mutant("decode", kills=ids("TOK", 9), bug="generic")
def added_tokens_skipped(honest: Honest, rows: Any, *, skip_special: bool) -> Any:
    """Where special tokens are skipped, added tokens are that are text."""
    last = _SPECIAL.stop if skip_special else 1 << 31
    return honest([[one for one in row if one < last] for row in rows], skip_special=skip_special)


@mutant("decode", kills=ids("TOK", 9), bug="generic")
def text_behind_a_skipped_token_trimmed(honest: Honest, rows: Any, *, skip_special: bool) -> Any:
    """Where special tokens are skipped, the text is trimmed as well."""
    found = honest(rows, skip_special=skip_special)
    return [text.strip() for text in found] if skip_special else found


@mutant("tokenizer.joined", kills=ids("TOK", 10), bug="generic")
def special_tokens_between_spaces(honest: Honest, pieces: Any) -> Any:
    """A special token that is spelled out has a space behind it."""
    return honest([piece + b" " * _is_spelling(piece) for piece in pieces])


def _is_spelling(piece: bytes) -> bool:
    return piece.startswith(b"<|") and piece.endswith(b"|>")


@mutant("tokenizer.Stream.add", kills=ids("TOK", 15), bug="exo-explore/exo#1691")
def streamed_ids_decoded_one_by_one(_: Honest, self: Any, token: int) -> Any:
    """Each id that comes is decoded by itself."""
    return self.tokenizer.decode([token], skip_special=self.skip_special)


@mutant("tokenizer.Stream.add", kills=ids("TOK", 15), bug="ml-explore/mlx-lm#1754")
def stream_without_its_first_space(honest: Honest, self: Any, token: int) -> Any:
    """The first text that comes out loses the space that it begins with."""
    text = honest(self, token)
    began, self.began = getattr(self, "began", False), getattr(self, "began", False) or bool(text)
    return text if began else text.removeprefix(" ")


@mutant("tokenizer.Stream.finish", kills=ids("TOK", 15), bug="generic")
def stream_ends_without_the_rest(_: Honest, self: Any) -> Any:
    """What was held back at the end never comes out."""
    del self
    return ""


@mutant("tokenizer.Stream.add", kills=ids("TOK", 15), bug="sgl-project/sglang#31598")
def stream_repeats_a_character(honest: Honest, self: Any, token: int) -> Any:
    """A character of several ids comes out twice."""
    held = bool(self.pending.getstate()[0])
    text = honest(self, token)
    return text[:1] + text if held else text


@mutant("tokenizer.Stream.add", kills=ids("TOK", 15), bug="generic")
def stream_spells_special_tokens(honest: Honest, self: Any, token: int) -> Any:
    """Streams spell special tokens out, whatever was asked."""
    self.skip_special = False
    return honest(self, token)


@mutant("stream", kills=ids("TOK", 15), bug="drumih/turbo-fieldfare#118")
def stream_tells_the_difference_of_tidied_texts(honest: Honest, **asked: bool) -> Any:
    """Each step decodes and tidies all ids, and tells what is longer than before."""
    return _Difference(honest(**asked))


class _Difference:
    """A stream that tidies what it has so far, and tells what is new of it."""

    def __init__(self, honest: Any) -> None:
        self._honest, self._text, self._told = honest, "", 0

    def _new(self, text: str) -> str:
        self._text += text
        whole = self._text
        for old, new in _TIDIED.items():
            whole = whole.replace(old, new)
        new_text, self._told = whole[self._told :], max(self._told, len(whole))
        return new_text

    def add(self, token: int) -> str:
        return self._new(self._honest.add(token))

    def finish(self) -> str:
        return self._new(self._honest.finish())


@mutant("stream", kills=ids("TOK", 16), bug="generic")
def stream_an_id_late(honest: Honest, **asked: bool) -> Any:
    """The text of an id comes out with the next one."""
    return _Late(honest(**asked))


class _Late:
    """A stream that holds one piece back."""

    def __init__(self, honest: Any) -> None:
        self._honest, self._held = honest, ""

    def add(self, token: int) -> str:
        text, self._held = self._held, self._honest.add(token)
        return text

    def finish(self) -> str:
        return str(self._held + self._honest.finish())


@mutant("stream", kills=ids("TOK", 16), bug="generic")
def stream_waits_for_a_space(honest: Honest, **asked: bool) -> Any:
    """A word comes out once the space behind it has come."""
    return _Words(honest(**asked))


class _Words:
    """A stream of whole words."""

    def __init__(self, honest: Any) -> None:
        self._honest, self._held = honest, ""

    def add(self, token: int) -> str:
        text = self._held + self._honest.add(token)
        end = text.rfind(" ") + 1
        self._held = text[end:]
        return str(text[:end])

    def finish(self) -> str:
        return str(self._held + self._honest.finish())


@mutant("stream", kills=ids("TOK", 17), bug="generic")
def streams_share_what_they_hold(honest: Honest, **asked: bool) -> Any:
    """All streams hold the bytes of broken characters in one place."""
    stream = honest(**asked)
    stream.pending = _SHARED.setdefault("pending", stream.pending)
    return stream


_SHARED: dict[str, Any] = {}
"""The one place."""
