"""Which tensor of a package a constant of a build is, and how it differs from it.

A constant is recognised by its name, or by some of its numbers: a later revision, a stale copy or
a transposed one is still more like its tensor than like any other. What is recognised is compared
whole, by blocks.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.constants.graph import LOOKUP, OTHER, PRODUCT, uses
from conformance.errors import NotInBuild

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from conformance.constants.graph import Use

    Array = NDArray[Any]

NEAR = 0.5
"""Relative distance below which a constant is a version of a tensor. Tensors that have nothing to
do with each other lie at 1.4; a copy that is a tenth of the way off lies at 0.1."""
_SAMPLE = 4096
"""Numbers of a tensor by which it is recognised."""
_BLOCK = 1 << 20
"""Numbers that are compared at a time."""
_EMBEDDING = "model.embed_tokens.weight"


@dataclass(frozen=True)
class Held:
    """What became of comparing a build's constants with a package's tensors."""

    compared: int = 0
    """How many constants were recognised and compared whole."""
    differing: Mapping[str, str] = field(default_factory=dict)
    """By tensor, or by constant where it is like none: how the build differs, in words."""
    unseen: tuple[str, ...] = ()
    """Tensors that no constant is like: they are folded, fused or quantised, if they are there."""


@dataclass(frozen=True)
class _Match:
    """A constant with the tensor that it is likest to."""

    use: Use
    tensor: str
    turned: bool
    """Whether what is stored is the transpose of the tensor."""
    distance: float
    named: bool
    """Whether the constant bears the tensor's name."""

    @property
    def known(self) -> bool:
        return self.named or self.distance < NEAR


def held(
    weights: Mapping[str, Array],
    file: Path,
    dtype: str,
    *,
    tied: bool = False,
    offset: float = 0.0,
) -> Held:
    """Compare a build's constants with the tensors of a package.

    Args:
        weights: the package's tensors by name.
        file: the ONNX graph.
        dtype: the type to which weights may have been rounded, however wide they are stored.
        tied: whether the embedding is the head too.
        offset: what norms add to their weights, which an exporter may have done already.

    Raises:
        NotInBuild: no constant can be told to be one of the tensors.
    """
    kin = _Kin(weights, offset, dtype)
    matches = [found for use in uses(file) if (found := kin.likest(use)) is not None]
    known = [one for one in matches if one.known]
    told = _differences(known, kin)
    far = [one for one in matches if not one.known and one.use.kind != OTHER]
    missing = kin.missing({one.tensor for one in known})
    strange, unseen = _unexplained(missing, far, _surplus(known, tied=tied), kin)
    if not known and not strange:
        raise NotInBuild(
            f"no constant of {file.name} is like a tensor of the package: all are folded, fused or "
            "quantised, and the build is judged by its answers alone"
        )
    return Held(len(known), dict([*told, *strange]), tuple(unseen))


def _differences(known: Sequence[_Match], kin: _Kin) -> list[tuple[str, str]]:
    """Return the tensors that constants differ from, with how.

    A vector that is no tensor may be like one, as ones are like a norm's weight: where that weight
    is there as well, it is none of the vector's business.
    """
    texts = [(one, kin.difference(one)) for one in known]
    whole = {one.tensor for one, text in texts if not text}
    return [
        (one.tensor, text)
        for one, text in texts
        if text and (one.use.kind != OTHER or one.tensor not in whole)
    ]


class _Kin:
    """A package's tensors, by shape and by a sample of their numbers."""

    def __init__(self, weights: Mapping[str, Array], offset: float, dtype: str) -> None:
        self._weights, self._offset = weights, offset
        self._dtype = dtype
        self._names: dict[tuple[int, ...], list[str]] = {}
        samples: dict[tuple[int, ...], list[Array]] = {}
        for name, array in weights.items():
            self._names.setdefault(array.shape, []).append(name)
            samples.setdefault(array.shape, []).append(_picked(array))
        self._samples = {shape: np.stack(found) for shape, found in samples.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        return self._weights[name].shape

    def likest(self, use: Use) -> _Match | None:
        """Return the tensor that a constant is likest to; None where none has its shape."""
        ways = {use.turned, not use.turned} if use.kind == PRODUCT else {use.turned}
        found = [
            one
            for turned in sorted(ways, key=lambda way: way != use.turned)
            for one in self._in_one_way(use, turned=turned)
        ]
        by_name = [one for one in found if one.named]
        return min(by_name or found, key=lambda one: one.distance, default=None)

    def _in_one_way(self, use: Use, *, turned: bool) -> Iterator[_Match]:
        shape = use.shape[::-1] if turned else use.shape
        if shape not in self._names:
            return
        array = use.read()
        sample = _picked(array.T if turned else array)
        for name, one in zip(self._names[shape], self._samples[shape], strict=True):
            size = np.sqrt(np.mean(one * one)) or 1.0
            gaps = [np.sqrt(np.mean((sample - one - add) ** 2)) for add in self._added(array)]
            named = use.name.endswith(name)
            yield _Match(use, name, turned, float(min(gaps) / size), named)

    def _added(self, array: Array) -> tuple[float, ...]:
        return (0.0, self._offset) if array.ndim == 1 and self._offset else (0.0,)

    def difference(self, match: _Match) -> str:
        """Return how a constant differs from its tensor, in words; empty where it is the same."""
        use = match.use
        if match.turned != use.turned and match.distance < NEAR:
            return f"{use.name} in the build is its transpose"
        tensor = self._weights[match.tensor]
        array = use.read().T if match.turned else use.read()
        found = [_differing(array, tensor, add, self._dtype) for add in self._added(tensor)]
        count, distance = min(found)
        if count == 0:
            return ""
        share = f"{count} of {tensor.size} numbers"
        return f"{use.name} in the build differs in {share}, by {distance:.2g} of its size"

    def missing(self, found: set[str]) -> list[str]:
        """Return the tensors that no constant is, nor is equal to one that is found."""
        return [n for n in self._weights if n not in found and not self._repeated(n, found)]

    def _repeated(self, name: str, found: set[str]) -> bool:
        """Return whether a found tensor has the same numbers, as norms of ones have."""
        shape = self.shape(name)
        names, samples = self._names[shape], self._samples[shape]
        own = samples[names.index(name)]
        twins = (n for n, one in zip(names, samples, strict=True) if np.array_equal(one, own))
        return any(twin in found for twin in twins)


def _picked(array: Array) -> Array:
    """Return the numbers of an array at places that depend on its shape alone, in fp64."""
    return np.asarray(array[_places(array.shape)], dtype=np.float64)


@functools.lru_cache(maxsize=256)
def _places(shape: tuple[int, ...]) -> tuple[Array, ...]:
    size = int(np.prod(shape))
    if size <= _SAMPLE:
        flat = np.arange(size)
    else:
        flat = np.random.Generator(np.random.Philox(key=1)).integers(0, size, _SAMPLE)
    return np.unravel_index(flat, shape)


def _differing(array: Array, tensor: Array, offset: float, dtype: str) -> tuple[int, float]:
    """Return how many numbers differ by more than one rounding, and the distance as a whole.

    A build may have rounded each number once to its own type or to another that is narrower still
    (``dtype``), and a sum with what a norm adds once more.
    """
    own = precision.unit_roundoff(array.dtype.name)
    type_ = max(array.dtype.name, dtype, key=precision.unit_roundoff)
    rounds = precision.unit_roundoff(type_) > precision.unit_roundoff(tensor.dtype.name)
    narrow = precision.unit_roundoff(type_) if rounds else 0.0
    tiny = precision.smallest_subnormal(type_) if rounds else 0.0
    count, squares, whole = 0, 0.0, 0.0
    step = max(1, _BLOCK // max(1, tensor[:1].size))
    for start in range(0, len(tensor), step):
        exact = tensor[start : start + step].astype(np.float64)
        allowed = narrow * np.abs(exact) + tiny
        if offset:
            exact = exact + offset
            allowed = allowed + own * np.abs(exact)
        with np.errstate(invalid="ignore"):
            error = np.abs(array[start : start + step].astype(np.float64) - exact)
        count += int(np.count_nonzero(~(error <= allowed)))
        squares, whole = squares + float(np.sum(error**2)), whole + float(np.sum(exact**2))
    return count, float(np.sqrt(squares / whole)) if whole else float("inf")


def _surplus(known: Sequence[_Match], *, tied: bool) -> list[_Match]:
    """Return the constants whose tensor another one is already; a tied head is one of its own."""
    taken: set[tuple[str, str]] = set()
    found = []
    for one in sorted(known, key=lambda one: one.use.kind != LOOKUP):
        shared = tied and one.tensor == _EMBEDDING
        place = (one.tensor, one.use.kind if shared else "")
        if place in taken and one.use.kind == PRODUCT:
            found.append(one)
        taken.add(place)
    return found


def _unexplained(
    missing: Sequence[str], far: Sequence[_Match], surplus: Sequence[_Match], kin: _Kin
) -> tuple[list[tuple[str, str]], list[str]]:
    """Return what stands where a missing tensor should, and the tensors that are not seen at all.

    Constants that are like nothing are held for the missing tensors of their shape, in order.
    """
    told, unseen = [], []
    left, twice = list(far), list(surplus)
    for name in missing:
        here = next((one for one in left if kin.shape(name) == one.use.logical), None)
        copy = next((one for one in twice if kin.shape(name) == kin.shape(one.tensor)), None)
        if here is not None:
            left.remove(here)
            told.append((name, f"{here.use.name} stands in its place, and is like no tensor"))
        elif copy is not None:
            twice.remove(copy)
            told.append((name, f"it is nowhere in the build, which has {copy.tensor} twice"))
        else:
            unseen.append(name)
    told += [
        (one.use.name, f"a constant like no tensor of the package, of the shape of {one.tensor}")
        for one in left
        if one.use.kind == PRODUCT
    ]
    return told, unseen
