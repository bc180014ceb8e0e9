"""The rotary frequencies that an ONNX graph holds as a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.constants.graph import constants, opened, readers
from conformance.errors import NotInBuild

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Readers = Mapping[str, list[tuple[Any, int]]]

_ON_THE_WAY = frozenset(
    {
        "Cast",
        "Concat",
        "Einsum",
        "Expand",
        "Identity",
        "MatMul",
        "Mul",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""What may stand between a frequency and the cosine of its angle."""
_FARTHEST = 8
"""Operators between the two at most."""


@dataclass(frozen=True)
class Frequencies:
    """A constant of rotations per position."""

    name: str
    each_R: Array
    """Of each pair, in fp64."""


def frequencies(file: Path, pairs: Collection[int]) -> list[Frequencies]:
    """Return the constants whose product with positions a graph takes cosines of.

    Args:
        file: the ONNX graph.
        pairs: how many pairs of a head may be turned; a constant may have them twice in a row.

    Raises:
        NotInBuild: there is none: they are computed in the graph, or it has tables of cosines.
    """
    model = opened(file)
    by_value, found = readers(model), []
    for name, (tensor, read) in constants(model, file.parent).items():
        size = int(np.prod(tensor.dims))
        sizes = {*pairs, *(2 * count for count in pairs)}
        if size > 1 and size in sizes and _leads_to_cosine(name, by_value, _FARTHEST):
            each = np.asarray(read(), dtype=np.float64).ravel()
            half = size // 2
            twice = half in pairs and np.array_equal(each[:half], each[half:])
            if twice or size in pairs:
                found.append(Frequencies(name, each[:half] if twice else each))
    if not found:
        raise NotInBuild(f"no constant of {file.name} could be told to be rotary frequencies")
    return found


def _leads_to_cosine(value: str, by_value: Readers, steps: int) -> bool:
    return steps > 0 and any(
        node.op_type == "Cos"
        or (
            node.op_type in _ON_THE_WAY
            and any(_leads_to_cosine(name, by_value, steps - 1) for name in node.output)
        )
        for node, _ in by_value.get(value, [])
    )
