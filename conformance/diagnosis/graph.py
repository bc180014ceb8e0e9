"""An ONNX graph to look into: its nodes in order, its constants, and where its layers are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from conformance.adapters import _onnx_taps
from conformance.diagnosis.node import Node
from conformance.errors import NotInBuild

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from conformance.records import Contract

    Array = NDArray[Any]
    Values = Mapping[str, Array]

BATCH = 32
"""Nodes whose values are held at a time, beside those that later nodes read."""
SHARED, BEHIND = "what the layers share", "what stands behind the last layer"
"""Where nodes are that belong to no layer: masks and phases, the final norm and the head."""


class Graph:
    """The graph of a file.

    Args:
        file: ``model.onnx``; weights beside it are read when a node needs them.
        contracts: the precision contract of numbers of a type.
    """

    def __init__(self, file: Path, contracts: Mapping[str, Contract]) -> None:
        model = _onnx_taps.read(file)
        opsets = {one.domain: one.version for one in model.opset_import}
        self.nodes = [Node(proto, opsets, contracts) for proto in model.graph.node]
        own = {value.name for value in model.graph.output}
        self.inner = [node for node in self.nodes if not own.issuperset(node.outputs)]
        """The nodes that make what is no output of the graph."""
        self._folder = str(file.parent)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        try:
            self.taps = _onnx_taps.taps(model.graph)
        except NotInBuild:
            self.taps = {}
        self._places = _places(self.nodes, self.taps)

    def place(self, node: Node) -> str:
        """Return the layer that a node belongs to, or what it belongs to instead; "" if unknown."""
        return self._places.get(node.outputs[0], "")

    def batches(self) -> Iterator[list[Node]]:
        """Yield the nodes in order, some at a time."""
        for start in range(0, len(self.nodes), BATCH):
            yield self.nodes[start : start + BATCH]

    def walk(
        self, feed: Values, made: Callable[[Sequence[Node], Values], Values]
    ) -> Iterator[tuple[list[Node], Values]]:
        """Yield each batch of nodes with the values that it reads and makes.

        Args:
            feed: the graph's inputs.
            made: returns what a batch makes; it is given the values that stand before it.
        """
        left = Counter(name for node in self.nodes for name in {*node.inputs})
        values = dict(feed)
        for batch in self.batches():
            needed = {n for node in batch for n in node.inputs if n in self._constants}
            here = {**values, **{name: self._constant(name) for name in needed}}
            here.update(made(batch, here))
            yield batch, here
            left.subtract(name for node in batch for name in {*node.inputs})
            kept = {name: here[name] for name in here if left[name] > 0 and name not in needed}
            values = kept

    def exact(self, feed: Values, wanted: Sequence[str]) -> dict[str, Array]:
        """Return values of the graph with all of it computed in fp64, whatever rounds by itself."""
        found: dict[str, Array] = {}
        for _, values in self.walk(feed, _in_fp64):
            found |= {name: values[name] for name in wanted if name in values}
        return found

    def _constant(self, name: str) -> Array:
        from onnx import numpy_helper  # noqa: PLC0415  # only graphs need it

        array: Array = numpy_helper.to_array(self._constants[name], base_dir=self._folder)
        return array


def _in_fp64(batch: Sequence[Node], values: Values) -> Values:
    seen = dict(values)
    for node in batch:
        seen |= node.exact(seen)
    return seen


def _places(nodes: Sequence[Node], taps: Mapping[str, str]) -> dict[str, str]:
    """Return where each value is made: by a layer, by what they share, or by what is behind."""
    if not taps:
        return {}
    makers = {name: node for node in nodes for name in node.outputs}
    ends = {**{stream: layer for layer, stream in taps.items()}, "logits": BEHIND}
    readers: dict[str, set[str]] = {}
    for end, place in ends.items():
        for name in _leading_to(end, makers, set(taps.values())):
            readers.setdefault(name, set()).add(place)
    return {name: min(found) if len(found) == 1 else SHARED for name, found in readers.items()}


def _leading_to(end: str, makers: Mapping[str, Node], stops: set[str]) -> set[str]:
    """Return the values that lead to one, without those behind another layer's stream."""
    found, waiting = {end}, [end]
    while waiting:
        node = makers.get(waiting.pop())
        for name in node.inputs if node else ():
            if name not in found and name not in stops:
                found.add(name)
                waiting.append(name)
    return found | {name for one in found if one in makers for name in makers[one].outputs}


def contracts_by_type(contract: Contract, known: Mapping[str, Contract]) -> dict[str, Contract]:
    """Return the contract of numbers of each type: the claimed one for its own, else the plain."""
    plain = {one.output: one for one in known.values() if _is_plain(one)}
    return {**plain, contract.output: contract}


def _is_plain(contract: Contract) -> bool:
    return not contract.tf32
