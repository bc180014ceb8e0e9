"""Where in an ONNX graph the residual stream after each layer is, and graphs that show it.

The suite's own exports name the values ``layer.<i>``, and any exporter may. In other graphs they
are found by structure, and only where it leaves no doubt: after layer i is the last sum through
which all goes from the cache of layer i to that of the next, or to the logits, and which adds to a
value through which all goes as well; behind it come a norm and one product, and nothing else. A
graph is an ``onnx.GraphProto``, in topological order.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from conformance.errors import NotInBuild

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_PRODUCTS = frozenset({"MatMul", "Gemm"})
_NORM_AND_HEADS = frozenset(
    {
        "Add",
        "Cast",
        "Concat",
        "Div",
        "Expand",
        "Gather",
        "Identity",
        "LayerNormalization",
        "Mul",
        "Neg",
        "Pow",
        "RMSNormalization",
        "Reciprocal",
        "ReduceMean",
        "Reshape",
        "RotaryEmbedding",
        "Shape",
        "SimplifiedLayerNormalization",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
)
"""What may stand between the stream and the next cache or the logits, beside one product."""


def read(file: Path) -> Any:
    """Return the graph of a file as an ``onnx.ModelProto``, without the weights that lie beside."""
    import onnx  # noqa: PLC0415  # who shows nothing needs no onnx

    return onnx.load(file, load_external_data=False)


def with_outputs(model: Any, names: Sequence[str]) -> Any:
    """Let a model answer inner values too, behind its own outputs; the model itself is changed."""
    import onnx  # noqa: PLC0415  # see above

    there = {value.name for value in model.graph.output}
    # Without a type: runtimes infer it.
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in there)
    return model


def taps(graph: Any) -> dict[str, str]:
    """Return the name of the value that is the stream after each layer, by ``layer.<i>``.

    Raises:
        NotInBuild: there is none by that name, and the structure leaves doubts.
    """
    values = {name for node in graph.node for name in node.output}
    layers = sum(1 for value in graph.output if _is_cache(value.name))
    named = list(
        itertools.takewhile(values.__contains__, map("layer.{}".format, itertools.count()))
    )
    if named and len(named) == (layers or len(named)):
        return {name: name for name in named}
    if not layers:
        raise NotInBuild(
            _refusal("it has no outputs present.0.value, present.1.value, ... to tell layers by")
        )
    ends = [*(f"present.{i}.value" for i in range(layers)), "logits"]
    return {f"layer.{i}": _stream(graph, *ends[i : i + 2]) for i in range(layers)}


def _is_cache(name: str) -> bool:
    return name.startswith("present.") and name.endswith(".value")


def _refusal(why: str) -> str:
    return (
        f"the residual stream after each layer is not found in model.onnx: {why}. Name the values "
        "layer.0, layer.1, ... when it is exported"
    )


def _stream(graph: Any, here: str, there: str) -> str:
    """Return the last sum between two values that can only be the residual stream."""
    makers = {name: node for node in graph.node for name in node.output}
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        raise NotInBuild(_refusal("it has branches, which may read any value"))
    if here not in makers or there not in makers:
        raise NotInBuild(_refusal(f"no node makes {here} or {there}"))
    narrow = list(_narrows(list(graph.node), makers[here], makers[there]))
    sums = [
        name
        for name in narrow
        if makers[name].op_type == "Add" and set(makers[name].input) & set(narrow)
    ]
    if not sums or not _one_product(list(graph.node), makers[sums[-1]], makers[there]):
        raise NotInBuild(_refusal(f"no sum is certain to be it between {here} and {there}"))
    return sums[-1]


def _one_product(nodes: Sequence[Any], first: Any, last: Any) -> bool:
    """Return whether a norm and one product, or several side by side, lead from node to node."""
    inner = _between(nodes, first, last)
    products: Counter[str] = Counter()
    for node in [*inner, last]:
        before = max(products[name] for name in node.input)
        products.update(dict.fromkeys(node.output, before + (node.op_type in _PRODUCTS)))
    known = all(node.op_type in _PRODUCTS | _NORM_AND_HEADS for node in inner)
    return known and max(products[name] for name in last.output) == 1


def _narrows(nodes: Sequence[Any], first: Any, last: Any) -> Iterator[str]:
    """Yield the values, in order, through which every path from one node to another goes."""
    inner = _between(nodes, first, last)
    reached = {name for node in [first, *inner] for name in node.output}
    unread = Counter(x for node in [*inner, last] for x in {*node.input} & reached)
    waiting = {name: unread[name] for name in first.output if unread[name]}
    for node in inner:
        for name in {*node.input} & set(waiting):
            waiting[name] -= 1
            if not waiting[name]:
                del waiting[name]
        waiting.update({name: unread[name] for name in node.output if unread[name]})
        if len(waiting) == 1:
            yield next(iter(waiting))


def _between(nodes: Sequence[Any], first: Any, last: Any) -> list[Any]:
    """Return the nodes that the first one leads to and that lead to the last."""
    reached, behind = set(first.output), []
    for node in nodes:
        if reached & set(node.input):
            reached |= set(node.output)
            behind.append(node)
    needed, inner = set(last.input), []
    for node in reversed(behind):
        if needed & set(node.output):
            needed |= set(node.input)
            inner.append(node)
    return inner[::-1]
