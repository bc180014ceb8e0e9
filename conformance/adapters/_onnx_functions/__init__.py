"""The operators that a decoder has and the ONNX standard lacks, written in those that it has.

An ONNX runtime is tested on them as it would meet them in an exported graph: as several nodes. Each
module has ``FUNCTIONS``: by operator a function that takes the call's attributes and returns the
nodes in ONNX's textual syntax, one on a line, from the formal inputs to the formal outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conformance.adapters._onnx_graphs import Node

    Body = Callable[[Mapping[str, Any]], str]

_FAMILIES: tuple[Any, ...] = ()
_FUNCTIONS: dict[str, Body] = {
    name: body for family in _FAMILIES for name, body in family.FUNCTIONS.items()
}
"""The operators that are written out."""


def nodes(node: Node) -> list[Any]:
    """Return the ONNX nodes that compute one call.

    Raises:
        Unsupported: the operator is not written out.
    """
    import onnx  # noqa: PLC0415

    if node.operator not in _FUNCTIONS:
        raise Unsupported(f"operator {node.domain}::{node.operator} is not written out in ONNX")
    body = _FUNCTIONS[node.operator](dict(node.attributes))
    lines = (line.strip() for line in body.splitlines())
    return [onnx.parser.parse_node(line) for line in lines if line]
