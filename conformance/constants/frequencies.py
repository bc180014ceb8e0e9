"""The rotary frequencies that an ONNX graph holds as a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.constants.graph import constants, opened, readers
from conformance.errors import NotInBuild

if TYPE_CHECKING:
    from collections.abc import Mapping
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


def frequencies(file: Path, pairs: int) -> list[Frequencies]:
    """Return the constants whose product with positions a graph takes cosines of.

    Args:
        file: the ONNX graph.
        pairs: how many pairs of a head are turned; a constant may have them twice in a row.

    Raises:
        NotInBuild: there is none: they are computed in the graph, or it has tables of cosines.
    """
    model = opened(file)
    by_value, found = readers(model), []
    for name, (tensor, read) in constants(model, file.parent).items():
        size = int(np.prod(tensor.dims))
        if size in {pairs, 2 * pairs} and _leads_to_cosine(name, by_value, _FARTHEST):
            each = np.asarray(read(), dtype=np.float64).ravel()
            if size == pairs or np.array_equal(each[:pairs], each[pairs:]):
                found.append(Frequencies(name, each[:pairs]))
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
