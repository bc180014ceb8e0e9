"""The operators that a decoder has and the ONNX standard lacks, written in those that it has.

An ONNX runtime is tested on them as it would meet them in an exported graph: as several nodes. Each
module has ``FUNCTIONS``: by operator a function that takes the call's attributes and returns the
nodes in ONNX's textual syntax, one on a line, from the formal inputs to the formal outputs. An
optional input that a call does not give is left out of the nodes that read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._onnx_functions import (
    activations,
    attention,
    distances,
    losses,
    norms,
    phases,
    quantised,
    routing,
)
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Body = Callable[[Mapping[str, Any]], str]

_FAMILIES: tuple[Any, ...] = (
    quantised,
    norms,
    attention,
    phases,
    activations,
    routing,
    losses,
    distances,
)
_FUNCTIONS: dict[str, Body] = {
    name: body for family in _FAMILIES for name, body in family.FUNCTIONS.items()
}
"""The operators that are written out."""


def nodes(operator: str, attributes: Mapping[str, Any], given: Collection[str]) -> list[Any]:
    """Return the ONNX nodes that compute an operator of the standard's own.

    Args:
        operator: its name.
        attributes: of the call.
        given: the formal names of the inputs that the call has.

    Raises:
        Unsupported: the operator is not written out.
    """
    import onnx  # noqa: PLC0415

    if operator not in _FUNCTIONS:
        raise Unsupported(f"operator {operator} is not written out in ONNX")
    lines = (line.strip() for line in _FUNCTIONS[operator](attributes).splitlines())
    return _without_absent([onnx.parser.parse_node(line) for line in lines if line], given)


def _without_absent(nodes: list[Any], given: Collection[str]) -> list[Any]:
    """Leave out inputs that are not given, and nodes that would read nothing else."""
    known, kept = set(given), []
    for node in nodes:
        present = [name if name in known else "" for name in node.input]
        if any(present) or not present:
            del node.input[:]
            node.input.extend(present)
            known.update(node.output)
            kept.append(node)
    return kept
