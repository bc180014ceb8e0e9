"""One node of a graph: what it has to answer for what it was given, and what it is in fp64.

What only moves, compares or counts has to be right bit for bit. Other nodes are judged by the
oracle's row of their operator, or by the formulas beside this module; what neither knows is
computed and not judged, and a diagnosis tells that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence, judge, precision
from conformance.diagnosis import formulas
from conformance.errors import Nonconformity, SpecError
from conformance.oracles import standard
from conformance.records import Measurement, OperatorCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.oracles.standard import Expected
    from conformance.records import Contract

    Array = NDArray[Any]
    Values = Mapping[str, Array]

_MOVES = frozenset(
    {
        "Cast",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Pad",
        "Reshape",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Size",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
    }
)
"""Operators that copy numbers, or tell of shapes; Cast rounds numbers, to the nearest."""
_FLOAT, _DOUBLE = 1, 11
"""ONNX's numbers of the types float32 and float64."""


@dataclass(frozen=True)
class Node:
    """One node of a graph.

    Args:
        proto: the ``onnx.NodeProto``.
        opsets: the version of each domain that the graph imports.
        contracts: the precision contract of numbers of a type.
    """

    proto: Any
    opsets: Mapping[str, int]
    contracts: Mapping[str, Contract]

    @property
    def name(self) -> str:
        """Its own name, or that of what it makes."""
        return str(self.proto.name or self.proto.output[0])

    @property
    def operator(self) -> str:
        """Its operator, with the domain where that is not the standard's."""
        domain = f"{self.proto.domain}::" if self.proto.domain else ""
        return f"{domain}{self.proto.op_type}"

    @property
    def inputs(self) -> list[str]:
        """The names of the values that it reads."""
        return [name for name in self.proto.input if name]

    @property
    def outputs(self) -> list[str]:
        """The names of the values that it makes."""
        return [name for name in self.proto.output if name]

    def judged(self, values: Values) -> Measurement | None:
        """Return the worst measurement of what it made of its inputs; None where nothing judges it.

        Args:
            values: what it read and what it made, by name.
        """
        if self._in_bits(values):
            wanted = self._computed({n: values[n] for n in self.inputs})
            return worst([_same(n, values[n], wanted[n]) for n in self.outputs])
        contract = self.contracts.get(values[self.outputs[0]].dtype.name)
        expected = contract and self._expected(values, contract)
        if not expected or any(np.isinf(one.bound).any() for one in expected.values()):
            return None
        return worst([_within(n, values[n], expected[n]) for n in self.outputs])

    def _in_bits(self, values: Values) -> bool:
        """Return whether honest answers cannot differ: a copy, whole numbers, a comparison."""
        read, made = ([values[n].dtype for n in names] for names in (self.inputs, self.outputs))
        compares = all(dtype.kind == "b" for dtype in made)
        counts = not any(precision.is_float(dtype.name) for dtype in [*read, *made])
        return self.operator in _MOVES or compares or counts

    def exact(self, values: Values) -> Values:
        """Return what it makes of fp64 inputs, in fp64: only a cast to a narrower type rounds."""
        given = {name: _fp64(values[name]) for name in self.inputs}
        floats = any(precision.is_float(array.dtype.name) for array in given.values())
        if floats and self.operator not in _MOVES:
            expected = self._expected(given, self.contracts["float64"])
            if expected:
                return {name: expected[name].value for name in self.outputs}
        return self._computed(given, widened=True)

    def _computed(self, given: Values, *, widened: bool = False) -> Values:
        """Return what the ONNX reference evaluator makes of the inputs, in their own types."""
        from onnx import ValueInfoProto, helper  # noqa: PLC0415  # only graphs need it
        from onnx.reference import ReferenceEvaluator  # noqa: PLC0415  # the same

        proto = type(self.proto)()
        proto.CopyFrom(self.proto)
        for attribute in proto.attribute if widened and self.operator == "Cast" else ():
            if (attribute.name, attribute.i) == ("to", _FLOAT):
                attribute.i = _DOUBLE
        ends = ([ValueInfoProto(name=n) for n in names] for names in (given, self.outputs))
        graph = helper.make_graph([proto], "one", *ends)
        answers = ReferenceEvaluator(graph, opsets=dict(self.opsets)).run(None, dict(given))
        return dict(zip(self.outputs, map(np.asarray, answers), strict=True))

    def _expected(self, values: Values, contract: Contract) -> dict[str, Expected] | None:
        """Return what each output has to be, by the value's name; None where nothing knows."""
        try:
            found = standard.expected(self._call(values), contract)
        except SpecError:
            operands = [_fp64(values[name]) for name in self.inputs]
            one = formulas.expected(self.operator, operands, self._attributes(), contract)
            return None if one is None else {self.outputs[0]: one}
        return dict(zip(self.outputs, found.values(), strict=True))

    def _call(self, values: Values) -> OperatorCall:
        """Return the node as a call by the standard's formal names."""
        from onnx import defs  # noqa: PLC0415  # only graphs need it

        domain, opset = self.proto.domain, self.opsets.get(self.proto.domain, 1)
        try:
            formal = defs.get_schema(self.proto.op_type, opset, domain)
        except defs.SchemaError as error:
            raise SpecError(f"the standard has no {self.operator}") from error
        given = {f.name: n for f, n in zip(formal.inputs, self.proto.input, strict=False) if n}
        made = [f.name for f, n in zip(formal.outputs, self.proto.output, strict=False) if n]
        inputs = {name: values[value] for name, value in given.items()}
        attributes = self._attributes()
        return OperatorCall(self.proto.op_type, opset, inputs, attributes, tuple(made), domain)

    def _attributes(self) -> dict[str, Any]:
        from onnx import helper  # noqa: PLC0415  # only graphs need it

        found = {a.name: helper.get_attribute_value(a) for a in self.proto.attribute}
        return {n: v.decode() if isinstance(v, bytes) else v for n, v in found.items()}


def _fp64(array: Array) -> Array:
    return array.astype(np.float64) if precision.is_float(array.dtype.name) else array


def _same(name: str, observed: Array, wanted: Array) -> Measurement:
    if (observed.shape, observed.dtype) != (wanted.shape, wanted.dtype):
        return _malformed(name, observed, f"{wanted.dtype}{list(wanted.shape)}")
    return measured(lambda: judge.bitwise_equal(observed, wanted, name))


def _within(name: str, observed: Array, expected: Expected) -> Measurement:
    if (observed.shape, observed.dtype.name) != (expected.value.shape, expected.dtype):
        return _malformed(name, observed, f"{expected.dtype}{list(expected.value.shape)}")
    return measured(lambda: judge.within_bounds({name: observed}, {name: expected}))


def _malformed(name: str, observed: Array, wanted: str) -> Measurement:
    where = f"{name}: {observed.dtype}{list(observed.shape)} for {wanted}"
    return Measurement("form", math.inf, 0.0, "arrays", where, 1)


def measured(judging: Callable[[], None]) -> Measurement:
    """Return the worst of what a judge measures, without the run's record learning of it."""
    with evidence.collect() as sink:
        try:
            judging()
        except Nonconformity as error:
            return error.measurement
    return worst(sink.measurements)


def worst(found: Sequence[Measurement]) -> Measurement:
    """Return the measurement with the least headroom; what is beyond its limit has none."""
    return min(found, key=lambda one: (one.ok, one.headroom))
