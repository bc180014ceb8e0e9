"""Single-node ONNX graphs for the standard's operators, run by ONNX Runtime.

A graph is made for the types and ranks of a call and not for its sizes, so that the many examples
of one check share it. onnx and onnxruntime are imported inside the functions.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from conformance.records import OperatorCall

    Array = NDArray[Any]

_IR_VERSION = 10
"""Of the file format, not of the operators: old enough for any ONNX Runtime that has opset 23."""
_KEPT_GRAPHS = 256


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


class Operators:
    """Calls of operators; the graphs are kept.

    Args:
        opener: makes an inference session from the bytes of a graph.
    """

    def __init__(self, opener: Callable[[bytes], Any]) -> None:
        @functools.lru_cache(maxsize=_KEPT_GRAPHS)
        def session(node: Node) -> Any:
            return opener(graph(node))

        self._session = session

    def compute(self, call: OperatorCall) -> dict[str, Array]:
        """Return a call's outputs by formal name.

        Raises:
            Unsupported: the standard has no such operator, or ONNX Runtime no kernel for it.
        """
        from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented  # noqa: A004, PLC0415

        try:
            session = self._session(_node(call))
            answers = session.run(list(call.outputs), dict(call.inputs))
        except NotImplemented as error:
            raise Unsupported(f"ONNX Runtime has no kernel for {call.operator}: {error}") from error
        return dict(zip(call.outputs, answers, strict=True))


def _node(call: OperatorCall) -> Node:
    return Node(
        domain=call.domain,
        operator=call.operator,
        opset=call.opset,
        inputs=tuple((name, x.dtype.name, x.ndim) for name, x in sorted(call.inputs.items())),
        attributes=tuple((name, _frozen(v)) for name, v in sorted(call.attributes.items())),
        outputs=call.outputs,
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | np.ndarray) else value


def graph(node: Node) -> bytes:
    """Return the serialised graph of one node, with free sizes.

    Raises:
        Unsupported: the standard has no such operator, or NumPy no such type.
    """
    import onnx  # noqa: PLC0415

    try:
        schema = onnx.defs.get_schema(node.operator, node.opset, node.domain)
    except onnx.defs.SchemaError as error:
        raise Unsupported(
            f"onnx {onnx.__version__} knows no operator {node.domain}::{node.operator} at opset "
            f"{node.opset}"
        ) from error
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [_graph_node(node, schema)],
            node.operator,
            [_value(name, dtype, rank) for name, dtype, rank in node.inputs],
            # Without a type: ONNX Runtime infers it.
            [onnx.ValueInfoProto(name=name) for name in node.outputs],
        ),
        opset_imports=[onnx.helper.make_opsetid(node.domain, node.opset)],
        ir_version=_IR_VERSION,
    )
    serialized: bytes = model.SerializeToString()
    return serialized


def _graph_node(node: Node, schema: Any) -> Any:
    import onnx  # noqa: PLC0415

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


def _value(name: str, dtype: str, rank: int) -> Any:
    import onnx  # noqa: PLC0415

    try:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    except TypeError as error:
        raise Unsupported(f"ONNX Runtime's Python API takes no arrays of {dtype}") from error
    sizes = [f"{name}_{axis}" for axis in range(rank)]
    return onnx.helper.make_tensor_value_info(name, kind, sizes)
