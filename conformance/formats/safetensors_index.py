"""Index of sharded safetensors: its names stay in the folder, and the shards hold what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import schema
from conformance.errors import FormatError
from conformance.formats import safetensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conformance.formats.safetensors import TensorInfo

LIMITS = schema.Limits(keys=1_000_000)
"""An index has a key for every tensor, and mixtures of experts have tens of thousands."""


def check(document: Any) -> None:
    """Check an index by itself: layers L2 and L3.

    Raises:
        FormatError: the index is refused.
    """
    schema.validate("safetensors-index", document)
    spelling: dict[str, str] = {}
    for name, shard in document["weight_map"].items():
        known = spelling.setdefault(shard.lower(), shard)
        if known != shard:
            detail = f"is {shard!r}, and another is {known!r}: one file where case is ignored"
            raise FormatError("L3-CASE-COLLISION", detail, schema.pointer(("weight_map", name)))


def check_file(path: Path) -> None:
    """Check an index file and the shards beside it.

    Raises:
        UsageError: the file cannot be read.
        FormatError: the index or a shard is refused; it carries the file's name.
    """
    read_shards(path)


def read_shards(path: Path) -> dict[str, tuple[Path, TensorInfo]]:
    """Return where every tensor of an index file lies: its shard, and its place there.

    Raises:
        UsageError: the file cannot be read.
        FormatError: the index or a shard is refused; it carries the file's name.
    """
    document = schema.load(path, LIMITS)
    try:
        check(document)
        return _located(document, path.parent)
    except FormatError as error:
        raise (error if error.file else error.in_file(str(path))) from None


def stays_inside(path: Path, folder: Path) -> bool:
    """Return whether a file, links followed, lies in a folder.

    The cache of the Hugging Face hub is the one layout whose links may lead out of the folder:
    ``snapshots/<revision>/<file>`` is a link into ``blobs`` beside ``snapshots``.
    """
    home, target = folder.resolve(), path.resolve()
    blobs = home.parents[1] / "blobs" if home.parent.name == "snapshots" else home
    return target.is_relative_to(home) or target.is_relative_to(blobs)


def _located(document: Mapping[str, Any], folder: Path) -> dict[str, tuple[Path, TensorInfo]]:
    weight_map: Mapping[str, str] = document["weight_map"]
    located: dict[str, tuple[Path, TensorInfo]] = {}
    for shard in sorted(set(weight_map.values())):
        named = next(name for name, file in weight_map.items() if file == shard)
        header = _header(folder, shard, schema.pointer(("weight_map", named)))
        _check_extra(header, weight_map, shard)
        located |= {name: (folder / shard, info) for name, info in header.items()}
    for name, shard in weight_map.items():
        if name not in located:
            place = schema.pointer(("weight_map", name))
            raise FormatError("L3-MISSING-TENSOR", f"is not in {shard}", place)
    total = sum(info.end - info.start for _, info in located.values())
    said = document["metadata"]["total_size"]
    if said != total:
        detail = f"is {said}; the tensors have {total} bytes"
        raise FormatError("L3-TOTAL-SIZE", detail, "/metadata/total_size")
    return located


def _header(folder: Path, shard: str, place: str) -> dict[str, TensorInfo]:
    path = folder / shard
    if not path.is_file():
        raise FormatError("L3-MISSING-SHARD", f"names {shard}, which is not in the folder", place)
    if not stays_inside(path, folder):
        raise FormatError("L3-LINK", f"names {shard}, a link that leads out of the folder", place)
    return safetensors.read_header(path)


def _check_extra(header: Mapping[str, Any], weight_map: Mapping[str, str], shard: str) -> None:
    for name in header:
        if name not in weight_map:
            detail = f"{shard} holds tensor {name!r}, which the index does not name"
            raise FormatError("L3-EXTRA-TENSOR", detail, "/weight_map")
        if weight_map[name] != shard:
            detail = f"is said to be in {weight_map[name]}, and lies in {shard}"
            raise FormatError("L3-WRONG-SHARD", detail, schema.pointer(("weight_map", name)))
