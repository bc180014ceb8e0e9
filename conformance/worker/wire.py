"""Frames between the suite and a candidate's process: a strict JSON header and raw arrays.

A frame is four bytes, the little-endian length of the header; the header, one JSON object in
UTF-8; and the bytes of the arrays that the header's ``arrays`` lists, little-endian, in C order,
without gaps. Nothing in a frame can run code: whoever reads it makes numbers from it, or refuses.
This module does no input or output.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.errors import MalformedOutput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LENGTH = struct.Struct("<I")
MAX_HEADER = 1 << 20
"""Most bytes of a header: 1 MiB."""
MAX_ARRAYS = 4096
MAX_RANK = 32
MAX_ARRAY_BYTES = 1 << 32
"""Most bytes of all arrays of one frame together: 4 GiB."""
_NUMPY_TYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
)
_ML_TYPES = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
TYPES = frozenset(_NUMPY_TYPES + _ML_TYPES)
"""The element types that may cross, as NumPy and ml_dtypes name them."""


class Unsendable(ValueError):  # noqa: N818  # reads as the fact that it states
    """A value cannot cross: no array, or of a type or size that is not allowed."""


@dataclass(frozen=True, slots=True)
class Message:
    """A frame's content: JSON values and arrays by name."""

    header: dict[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slot:
    """An array that the header announced, before its bytes are there."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The number of bytes that type and shape make."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, raw: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the array (shape ``self.shape``) whose bytes ``raw`` holds."""
        if self.dtype == np.bool_:
            raw = (raw != 0).view(np.uint8)  # a byte of 7 would be neither true nor false
        values: NDArray[Any] = raw.view(self.dtype).reshape(self.shape)
        return values.astype(self.dtype.newbyteorder("="), copy=False)


def encode(message: Message) -> list[bytes | memoryview]:
    """Return the pieces of a frame, to be written one after the other.

    Raises:
        Unsendable: a value is no array, or of a type or size that is not allowed.
    """
    if len(message.arrays) > MAX_ARRAYS:
        raise Unsendable(f"{len(message.arrays)} arrays; at most {MAX_ARRAYS} are allowed")
    payload = {name: _little_endian(name, array) for name, array in message.arrays.items()}
    total = sum(array.nbytes for array in payload.values())
    if total > MAX_ARRAY_BYTES:
        raise Unsendable(f"{total} bytes of arrays; at most {MAX_ARRAY_BYTES} are allowed")
    table = [[name, _name(array.dtype), list(array.shape)] for name, array in payload.items()]
    text = json.dumps({**message.header, "arrays": table}, allow_nan=False).encode()
    if len(text) > MAX_HEADER:
        raise Unsendable(f"header of {len(text)} bytes; at most {MAX_HEADER} are allowed")
    # The buffer protocol knows no bfloat16 and no empty memoryview casts: send plain bytes.
    raw = [array.reshape(-1).view(np.uint8).data for array in payload.values()]
    return [LENGTH.pack(len(text)), text, *raw]


def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name


def _little_endian(name: str, array: Any) -> NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise Unsendable(f"{name} is a {type(array).__name__}; wanted a NumPy array")
    if _name(array.dtype) not in TYPES:
        known = ", ".join(sorted(TYPES))
        raise Unsendable(f"{name} is an array of {array.dtype}; allowed: {known}")
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big"):
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.asarray(array, order="C")


def header_length(prefix: bytes | bytearray | memoryview) -> int:
    """Return the header's length from a frame's first four bytes.

    Raises:
        MalformedOutput: it is above the cap, as it is where something else writes into the pipe.
    """
    (length,) = LENGTH.unpack(prefix)
    if length > MAX_HEADER:
        raise MalformedOutput(
            f"a frame starts with {bytes(prefix)!r}, a header of {length} bytes; at most "
            f"{MAX_HEADER} are allowed: something other than the protocol wrote into its pipe"
        )
    return int(length)


def decode_header(text: bytes | bytearray | memoryview) -> tuple[dict[str, Any], list[Slot]]:
    """Return a header's fields and the arrays that follow it.

    Raises:
        MalformedOutput: not one JSON object in strict JSON, or an array that may not cross.
    """
    try:
        header = json.loads(
            bytes(text).decode(), object_pairs_hook=_once_each, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise MalformedOutput(f"the header of a frame is not strict JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("arrays"), list):
        raise MalformedOutput("the header of a frame is not an object with a list 'arrays'")
    table = header.pop("arrays")
    slots = [_slot(entry) for entry in table[: MAX_ARRAYS + 1]]
    _check_sizes(slots)
    return header, slots


def _once_each(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _slot(entry: Any) -> Slot:
    match entry:
        case [str(name), str(dtype), list(shape)] if dtype in TYPES:
            sizes = [size for size in shape if type(size) is int and 0 <= size <= MAX_ARRAY_BYTES]
            if len(sizes) == len(shape) <= MAX_RANK:
                return Slot(name, precision.dtype(dtype).newbyteorder("<"), tuple(sizes))
    raise MalformedOutput(
        f"an array is announced as {str(entry)[:200]!r}; allowed are [name, type, shape] with at "
        f"most {MAX_RANK} sizes and a type out of {', '.join(sorted(TYPES))}"
    )


def _check_sizes(slots: Sequence[Slot]) -> None:
    total = sum(slot.nbytes for slot in slots)
    if len({slot.name for slot in slots}) != len(slots):
        raise MalformedOutput("a frame announces two arrays of one name")
    if len(slots) > MAX_ARRAYS or total > MAX_ARRAY_BYTES:
        raise MalformedOutput(
            f"a frame announces {len(slots)} arrays of {total} bytes; at most {MAX_ARRAYS} arrays "
            f"of {MAX_ARRAY_BYTES} bytes are allowed"
        )
