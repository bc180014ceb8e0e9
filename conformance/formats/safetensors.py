"""Safetensors files, read strictly: the header, and tensors by memory map. Nothing is written.

The widely used reader accepts duplicate names, unknown keys, blanks before the header, unaligned
tensors and names such as ``../x``; here each is an error. Format: README of safetensors, "Format".
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import schema
from conformance.errors import FormatError, UsageError
from conformance.formats.tensor import DTYPES
from conformance.precision import dtype as dtype_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_SMALL = 1 << 24
"""Bytes of weights up to which a model's files are kept in memory."""
_HEADER_LIMITS = schema.Limits(size=100_000_000, keys=1_000_001)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies in its file."""

    dtype: str
    """As NumPy and ml_dtypes name it: ``bfloat16``."""
    shape: tuple[int, ...]
    start: int
    """Offset of the first byte, from the start of the file."""
    end: int
    """Offset behind the last byte."""


def check_file(path: Path) -> None:
    """Check a safetensors file; raises as ``read_header`` does."""
    read_header(path)


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Return the tensors of a file by name, in the order of the file's header.

    Raises:
        UsageError: the file cannot be read.
        FormatError: the file is refused; it carries the file's name.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = _header_length(file.read(8), size)
            header = file.read(length)
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except FormatError as error:
        raise error.in_file(str(path)) from None
    try:
        return _tensors(header, 8 + length, size)
    except FormatError as error:
        raise error.in_file(str(path)) from None


def read_tensor(path: Path, info: TensorInfo) -> NDArray[Any]:
    """Return a tensor as a read-only view of the file, in its own type."""
    dtype = dtype_of(info.dtype)
    if info.start == info.end:
        return np.empty(info.shape, dtype)  # an empty range cannot be mapped
    length = info.end - info.start
    raw = np.memmap(path, np.uint8, mode="r", offset=info.start, shape=(length,))
    return np.asarray(raw).view(dtype).reshape(info.shape)


class Tensors(Mapping[str, "NDArray[Any]"]):
    """A model's tensors by name, read-only, each taken from its file when it is asked for.

    Of a large model each is mapped anew, so that no more of it than is in use is resident. The
    files of a small one are read once and kept: what is computed with a tensor takes less time than
    to open its file.
    """

    def __init__(self, places: Mapping[str, tuple[Path, TensorInfo]]) -> None:
        self._places = places
        self._small = sum(info.end - info.start for _, info in places.values()) <= _SMALL
        self._read: dict[Path, bytes] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        path, info = self._places[name]
        if not self._small:
            return read_tensor(path, info)
        if path not in self._read:
            self._read[path] = path.read_bytes()
        return _tensor_in(self._read[path], info)

    def __contains__(self, name: object) -> bool:
        return name in self._places  # without mapping it

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _tensor_in(content: bytes, info: TensorInfo) -> NDArray[Any]:
    """Return a tensor as a read-only view of a whole file's bytes, in its own type."""
    return np.ndarray(info.shape, dtype_of(info.dtype), content, info.start)


def _header_length(prefix: bytes, size: int) -> int:
    if len(prefix) < 8:
        raise FormatError("L0-TRUNCATED", f"has {size} bytes; the header's length alone takes 8")
    length = int.from_bytes(prefix, "little")
    if length > min(size - 8, _HEADER_LIMITS.size):
        detail = f"says that its header has {length} bytes; the file has {size}"
        raise FormatError("L0-HEADER-LENGTH", f"{detail}, and {_HEADER_LIMITS.size} are allowed")
    return length


def _tensors(header: bytes, base: int, size: int) -> dict[str, TensorInfo]:
    if not header.startswith(b"{"):
        raise FormatError(
            "L0-HEADER-START", f"has a header that starts with {header[:1]!r}, not {{"
        )
    if not header.rstrip(b" ").endswith(b"}"):
        raise FormatError(
            "L0-HEADER-END", "has a header that ends in something else than } or space"
        )
    document = schema.parse(header, _HEADER_LIMITS)
    check(document)
    tensors = {
        name: TensorInfo(
            DTYPES[row["dtype"]].name,
            tuple(row["shape"]),
            base + row["data_offsets"][0],
            base + row["data_offsets"][1],
        )
        for name, row in document.items()
        if name != "__metadata__"
    }
    _check_tiling(tensors, base, size)
    return tensors


def check(document: Any) -> None:
    """Check the content of a header by itself: layers L2 and L3.

    Raises:
        FormatError: the header is refused.
    """
    schema.validate("safetensors-header", document)
    for name, row in document.items():
        if name != "__metadata__":
            _check_name(name)
            _check_row(row, schema.pointer((name,)))


def _check_name(name: str) -> None:
    # A name becomes a file name in many a converter.
    if ".." in name or name.startswith("/") or "\\" in name or not name.isprintable():
        detail = "is no safe name for a tensor: it holds .., \\, a leading / or a control character"
        raise FormatError("L3-NAME", detail, schema.pointer((name,)))


def _check_row(row: dict[str, Any], place: str) -> None:
    start, end = row["data_offsets"]
    itemsize = DTYPES[row["dtype"]].itemsize
    nbytes = math.prod(row["shape"]) * itemsize
    if start > end:
        raise FormatError("L3-OFFSETS", f"begin at {start}, behind their end {end}", place)
    if end - start != nbytes:
        detail = f"covers {end - start} bytes; its type and shape make {nbytes}"
        raise FormatError("L3-BYTE-LENGTH", detail, place)
    if start % itemsize:
        detail = f"starts at {start}; {row['dtype']} has to start at a multiple of {itemsize}"
        raise FormatError("L3-ALIGNMENT", detail, place)


def _check_tiling(tensors: dict[str, TensorInfo], base: int, size: int) -> None:
    """Demand that the tensors cover the file behind the header exactly, each byte once."""
    cursor = base
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        place = schema.pointer((name,))
        if info.start < cursor:
            raise FormatError("L3-OVERLAP", "begins inside another tensor", place)
        if info.start > cursor:
            detail = f"leaves a hole of {info.start - cursor} bytes before it"
            raise FormatError("L3-HOLE", detail, place)
        if info.end > size:
            detail = f"ends {info.end - size} bytes behind the end of the file"
            raise FormatError("L3-TRUNCATED", detail, place)
        cursor = info.end
    if cursor != size:
        detail = f"has {size - cursor} bytes behind its last tensor"
        raise FormatError("L3-TRAILING-BYTES", detail)
