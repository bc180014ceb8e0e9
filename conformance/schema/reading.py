"""The strict JSON loader: layers L0 (bytes) and L1 (grammar). It knows no schema."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.errors import FormatError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 7493, section 2.2)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document may be."""

    size: int = 64 << 20
    """In bytes."""
    depth: int = 64
    """Of nested arrays and objects."""
    keys: int = 4096
    """In one object."""


DOCUMENT = Limits()


NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
"""How Python writes the numbers that JSON does not have, and how this project does."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Stands in a parsed document where something forbidden was written."""

    code: str
    detail: str


# A string is matched to its end, or to the end of the text: a quote that fails to match would make
# the search start again inside the string, in quadratic time.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_BLANK = re.compile(r"[ \t\n\r]*")
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def load(path: Path, limits: Limits = DOCUMENT) -> Any:
    """Read a JSON file strictly; see ``parse``.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        FormatError: the file is refused; it carries the file's name.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.size + 1)  # one more than allowed tells that it is too long
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error
    try:
        return parse(data, limits)
    except FormatError as error:
        raise error.in_file(str(path)) from None


def parse(data: bytes, limits: Limits = DOCUMENT) -> Any:
    """Return the one JSON document in ``data``, strictly: RFC 8259 within the I-JSON of RFC 7493.

    Python's own reader also takes byte order marks, UTF-16, NaN, 1e400, lone surrogates and
    duplicate keys, the last of which wins; here each is an error with a code of its own.

    Raises:
        FormatError: layer L0 (bytes) or L1 (JSON grammar), with a pointer where there is one.
    """
    text = _text(data, limits)
    _check_depth(text, limits)
    start = _end(_BLANK, text, 0)
    if start == len(text):
        raise FormatError("L1-EMPTY", "holds no JSON document: it is empty or blank")
    try:
        faults: list[_Fault] = []
        document, stop = _decoder(limits, faults).raw_decode(text, start)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise FormatError("L1-SYNTAX", f"is not JSON: {error.msg.lower()} at {place}") from None
    rest = _end(_BLANK, text, stop)
    if rest != len(text):
        raise FormatError(
            "L1-TRAILING-DATA",
            f"holds more than one document: after the first comes {shown(text[rest : rest + 99])}",
        )
    if faults or _HALF_PAIR.search(text):
        refuse_faults(document)
    return document


def _text(data: bytes, limits: Limits) -> str:
    if len(data) > limits.size:
        raise FormatError("L0-SIZE", f"has more than the {limits.size} bytes that are allowed")
    if data.startswith(b"\xef\xbb\xbf"):
        raise FormatError("L0-BOM", "starts with a byte order mark; write UTF-8 without one")
    if b"\0" in data:
        place = data.index(b"\0")
        raise FormatError("L0-NUL", f"has a NUL byte at offset {place}; write it in UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"0x{data[error.start]:02x} at offset {error.start}"
        raise FormatError("L0-UTF8", f"is not UTF-8: byte {byte}, {error.reason}") from None


def _check_depth(text: str, limits: Limits) -> None:
    """Count brackets before the recursive reader sees them."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = text[match.start()]
        depth += (first in "[{") - (first in "]}")
        if depth > limits.depth:
            place = f"at character {match.start()}"
            raise FormatError("L1-DEPTH", f"is nested deeper than {limits.depth} levels {place}")


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _decoder(limits: Limits, faults: list[_Fault]) -> json.JSONDecoder:
    """Return a reader that leaves a ``_Fault`` in the tree, so that its pointer can be told.

    Each is added to ``faults`` too, so that a tree without any need not be searched.
    """

    def noted(value: Any) -> Any:
        if isinstance(value, _Fault):
            faults.append(value)
        return value

    return json.JSONDecoder(
        object_pairs_hook=lambda pairs: noted(_read_object(pairs, limits)),
        parse_constant=lambda text: noted(_refuse_constant(text)),
        parse_int=lambda text: noted(_read_integer(text)),
        parse_float=lambda text: noted(_read_float(text)),
    )


def _read_object(pairs: list[tuple[str, Any]], limits: Limits) -> dict[str, Any] | _Fault:
    document = dict(pairs)
    if len(pairs) > limits.keys:
        return _Fault("L1-KEYS", f"has {len(pairs)} keys; allowed: {limits.keys}")
    if len(document) == len(pairs):
        return document
    twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
    return _Fault("L1-DUPLICATE-KEY", f"has the key {shown(twice)} more than once")


def _refuse_constant(text: str) -> _Fault:
    return _Fault("L1-NON-FINITE", f'is {text}, which is not JSON; write the string "{text}"')


def _read_integer(text: str) -> int | _Fault:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        return _Fault(
            "L1-INTEGER-RANGE", f"is {shown(text)}; integers are exact only up to 2**53-1"
        )
    return int(text)


def _read_float(text: str) -> float | _Fault:
    value = float(text)
    if math.isinf(value):
        return _Fault("L1-NUMBER-RANGE", f"is {shown(text)}, beyond the range of a double")
    return value


def refuse_faults(document: Any) -> None:
    """Raise for the first thing in document order that no document may hold."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while stack:
        path, value = stack.pop()
        fault = _fault(value)
        if fault is not None:
            raise FormatError(fault.code, fault.detail, pointer(path))
        if isinstance(value, dict):
            stack.extend(((*path, key), value[key]) for key in reversed(value))
        elif isinstance(value, list):
            stack.extend(((*path, i), value[i]) for i in reversed(range(len(value))))


def _fault(value: Any) -> _Fault | None:
    if isinstance(value, _Fault):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return _refuse_constant(NON_FINITE[str(value)])
    names = value if isinstance(value, dict) else [value] if isinstance(value, str) else []
    if any(not name.isascii() and _SURROGATE.search(name) for name in names):
        return _Fault("L1-LONE-SURROGATE", "has half of a surrogate pair, which is not a character")
    return None


def pointer(path: tuple[str | int, ...]) -> str:
    """Return the JSON pointer of a path (RFC 6901): keys and indices from the top."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def shown(value: Any) -> str:
    """Return a value as JSON on one line, cut to what a message can carry."""
    text = json.dumps(value, ensure_ascii=True, default=repr)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
