"""ONNX graphs for single calls of operators, for every runtime that reads ONNX.

A graph is made for the types and ranks of a call, so that the many examples of one check share it,
and for its sizes only where a runtime needs them. An operator that the standard lacks becomes the
nodes that ``_onnx_functions`` says. onnx is imported inside the functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters import _onnx_functions
from conformance.errors import Unsupported
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.records import OperatorCall

_IR_VERSION = 10
"""Of the file format, not of the operators: old enough for any ONNX Runtime that has opset 23."""


@dataclass(frozen=True, slots=True)
class Node:
    """What makes two calls share a graph."""

    domain: str
    operator: str
    opset: int
    inputs: tuple[tuple[str, str, int], ...]
    """Formal name, NumPy type and rank of each."""
    attributes: tuple[tuple[str, Any], ...]
    outputs: tuple[str, ...]
    sizes: tuple[tuple[int, ...], ...] | None = None
    """Of each input, 0 for one that stays free; None leaves all free."""


def node_of(call: OperatorCall, *, fixed: bool = False) -> Node:
    """Return what a call asks of a graph.

    Args:
        call: the operator with its inputs.
        fixed: whether the graph is for inputs of these sizes alone.
    """
    inputs = sorted(call.inputs.items())
    return Node(
        domain=call.domain,
        operator=call.operator,
        opset=call.opset,
        inputs=tuple((name, x.dtype.name, x.ndim) for name, x in inputs),
        attributes=tuple((name, _frozen(v)) for name, v in sorted(call.attributes.items())),
        outputs=call.outputs,
        sizes=tuple(x.shape for _, x in inputs) if fixed else None,
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | np.ndarray) else value


def graph(node: Node) -> bytes:
    """Return the serialised graph of one call.

    Raises:
        Unsupported: the standard has no such operator, or NumPy no such type.
    """
    import onnx  # noqa: PLC0415

    own = node.domain == OWN_DOMAIN
    sizes = node.sizes or [(0,) * rank for _, _, rank in node.inputs]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            _own_nodes(node) if own else [_standard_node(node)],
            node.operator,
            [
                _value(name, dtype, shape)
                for (name, dtype, _), shape in zip(node.inputs, sizes, strict=True)
            ],
            # Without a type: runtimes infer it.
            [onnx.ValueInfoProto(name=name) for name in node.outputs],
        ),
        opset_imports=[onnx.helper.make_opsetid("" if own else node.domain, node.opset)],
        ir_version=_IR_VERSION,
    )
    serialized: bytes = model.SerializeToString()
    return serialized


def _own_nodes(node: Node) -> list[Any]:
    given = {name for name, _, _ in node.inputs}
    return _onnx_functions.nodes(node.operator, dict(node.attributes), given)


def _standard_node(node: Node) -> Any:
    import onnx  # noqa: PLC0415

    try:
        schema = onnx.defs.get_schema(node.operator, node.opset, node.domain)
    except onnx.defs.SchemaError as error:
        raise Unsupported(
            f"onnx {onnx.__version__} knows no operator {node.domain}::{node.operator} at opset "
            f"{node.opset}"
        ) from error
    for name, _ in node.attributes:
        if name not in schema.attributes:
            raise Unsupported(f"the standard's {node.operator} has no attribute {name!r}")
    floating = {
        name: attribute.type == onnx.defs.OpSchema.AttrType.FLOAT
        for name, attribute in schema.attributes.items()
    }
    return onnx.helper.make_node(
        node.operator,
        _in_order(schema.inputs, {name for name, _, _ in node.inputs}),
        _in_order(schema.outputs, set(node.outputs)),
        domain=node.domain,
        # An integer would become an attribute of a type that the standard refuses.
        **{name: float(v) if floating.get(name) else v for name, v in node.attributes},
    )


def _in_order(formal: Any, given: set[str]) -> list[str]:
    """Return the standard's names in its order, "" for one that is left out, none at the end.

    Raises:
        Unsupported: a given name is not one of the standard's.
    """
    names = [parameter.name for parameter in formal]
    if not given <= set(names):
        unknown = ", ".join(sorted(given - set(names)))
        raise Unsupported(f"the standard has {', '.join(names)}, not {unknown}")
    kept = [name if name in given else "" for name in names]
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _value(name: str, dtype: str, shape: Sequence[int]) -> Any:
    import onnx  # noqa: PLC0415

    try:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    except TypeError as error:
        raise Unsupported(f"ONNX has no tensors of {dtype}") from error
    sizes = [size or f"{name}_{axis}" for axis, size in enumerate(shape)]
    return onnx.helper.make_tensor_value_info(name, kind, sizes)
