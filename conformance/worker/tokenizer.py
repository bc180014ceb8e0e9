"""Text and tokens as frames carry them: text as its bytes in UTF-8, ids and offsets as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import MalformedOutput
from conformance.records import Encoding, TokenizerFacts
from conformance.worker.wire import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

OF_A_STREAM = ("add", "finish")
"""Verbs that are asked of a stream, and not of the candidate."""
_FACTS = frozenset(TokenizerFacts(1).document())


def answer(method: Callable[..., Any], question: Message) -> Message:
    """Return what the candidate answers to a question of text, as a frame's content.

    Raises:
        MalformedOutput: it answers something else.
    """
    header, given = question.header, question.arrays
    match header["verb"]:
        case "encode":
            asked = {name: header[name] for name in ("add_special", "parse_special")}
            return _encodings_out(method([_text(array) for array in given.values()], **asked))
        case "decode":
            rows = [array.tolist() for array in given.values()]
            found = method(rows, skip_special=header["skip_special"])
            return Message({}, texts_out(_listed("decode", found, str)))
        case "token_bytes":
            found = _listed("token_bytes", method(given["0"].tolist()), bytes)
            return Message({}, {"bytes": _raw(b"".join(found)), "lengths": _lengths(found)})
        case "add":
            return Message({}, texts_out(_listed("add", [method(header["token"])], str)))
    return Message({}, texts_out(_listed("finish", [method()], str)))


def texts_out(texts: Sequence[str]) -> dict[str, Array]:
    """Return texts as arrays.

    Raises:
        MalformedOutput: one has lone surrogates, which no UTF-8 has.
    """
    try:
        return {str(i): _raw(text.encode()) for i, text in enumerate(texts)}
    except UnicodeEncodeError as error:
        raise MalformedOutput(f"a text has lone surrogates: {error}") from error


def rows_out(rows: Sequence[Sequence[int]]) -> dict[str, Array]:
    """Return rows of ids as arrays."""
    return {str(i): np.array(list(row), np.int64) for i, row in enumerate(rows)}


def _encodings_out(found: Any) -> Message:
    arrays: dict[str, Array] = {}
    for i, one in enumerate(_listed("encode", found, Encoding)):
        arrays[f"ids.{i}"] = _numbers(one.ids, (0,))
        if one.offsets is not None:
            arrays[f"offsets.{i}"] = _numbers(one.offsets, (0, 2))
    return Message({"texts": len(found)}, arrays)


def _numbers(values: Any, empty: tuple[int, ...]) -> Array:
    """Return a row of ids, or a table of offsets; ``empty`` is its shape where it holds none."""
    try:
        array = np.array(values)
    except ValueError as error:  # rows of unequal lengths
        raise MalformedOutput(f"encode answered no table of numbers: {error}") from error
    if not array.size:
        return np.zeros(empty, np.int64)
    if array.shape[1:] != empty[1:] or array.dtype.kind not in "iu":
        raise MalformedOutput(f"encode answered {array.dtype}{list(array.shape)}, no integers")
    return array.astype(np.int64)


def _listed(verb: str, found: Any, kind: type) -> Any:
    if isinstance(found, list | tuple) and all(isinstance(one, kind) for one in found):
        return found
    raise MalformedOutput(f"{verb} answered {type(found).__name__}, no list of {kind.__name__}")


def _lengths(pieces: Sequence[bytes]) -> Array:
    return np.array([len(one) for one in pieces], np.int64)


def _raw(content: bytes) -> Array:
    return np.frombuffer(content, np.uint8)


def encodings_in(message: Message) -> list[Encoding]:
    """Return the encodings that a child answered; who asked looks at their form.

    Raises:
        MalformedOutput: the frame holds something else.
    """
    texts = message.header.get("texts")
    if not isinstance(texts, int) or not 0 <= texts <= len(message.arrays):
        raise _strange(message)
    return [_encoding(i, message) for i in range(texts)]


def _encoding(i: int, message: Message) -> Encoding:
    ids, offsets = message.arrays.get(f"ids.{i}"), message.arrays.get(f"offsets.{i}")
    if ids is None or ids.ndim != 1 or ids.dtype != np.int64:
        raise _strange(message)
    if offsets is None:
        return Encoding(tuple(ids.tolist()))
    if offsets.shape[1:] != (2,) or offsets.dtype != np.int64:
        raise _strange(message)
    return Encoding(tuple(ids.tolist()), tuple((start, end) for start, end in offsets.tolist()))


def pieces_in(message: Message) -> list[bytes]:
    """Return the bytes of ids that a child answered.

    Raises:
        MalformedOutput: the frame holds something else.
    """
    whole, lengths = message.arrays.get("bytes"), message.arrays.get("lengths")
    if whole is None or lengths is None or lengths.dtype != np.int64 or lengths.ndim != 1:
        raise _strange(message)
    ends = np.cumsum(lengths).tolist()
    if whole.dtype != np.uint8 or (lengths < 0).any() or whole.size != int(lengths.sum()):
        raise _strange(message)
    content = whole.tobytes()
    return [content[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def texts_in(message: Message) -> list[str]:
    """Return the texts that a child answered.

    Raises:
        MalformedOutput: the frame holds something else.
    """
    found = [message.arrays.get(str(i)) for i in range(len(message.arrays))]
    if any(one is None or one.dtype != np.uint8 or one.ndim != 1 for one in found):
        raise _strange(message)
    try:
        return [_text(one) for one in found if one is not None]
    except UnicodeDecodeError as error:
        raise _strange(message) from error


def text_in(message: Message) -> str:
    """Return the one text that a child answered.

    Raises:
        MalformedOutput: the frame holds something else.
    """
    found = texts_in(message)
    if len(found) != 1:
        raise _strange(message)
    return found[0]


def _text(array: Array) -> str:
    return array.tobytes().decode()


def _strange(message: Message) -> MalformedOutput:
    return MalformedOutput(f"the candidate's process answered {sorted(message.arrays)}, no text")


def facts_in(told: Any) -> TokenizerFacts | None:
    """Return the facts that a candidate's process tells, None where it tells none.

    Raises:
        MalformedOutput: they are none.
    """
    if told is None:
        return None
    if isinstance(told, dict) and set(told) == _FACTS and isinstance(told["special"], dict):
        return TokenizerFacts.of(told)
    raise MalformedOutput(f"the candidate's tokenizer facts are malformed: {str(told)[:300]}")
