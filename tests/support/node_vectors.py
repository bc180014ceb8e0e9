"""The ONNX package's backend node vectors of the operators that the oracle knows.

A vector is a graph, its inputs and the answers of the standard's reference evaluator. One whose
operator is a function comes a second time, ``expanded``, with the function's body as its graph.
"""

from __future__ import annotations

import importlib
import re
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx

from conformance.oracles.standard import OPERATORS
from conformance.records import OperatorCall
from contracts import contract

_PACKAGE = "onnx.backend.test.case.node"
_EXPANDED = re.compile(r"_expanded(_function)?(_ver\d+)?$")
STANDARD = tuple(name for name, row in OPERATORS.items() if not row.domain)
"""The operators of the table that are the standard's."""


UNKNOWN: dict[str, str] = {}
"""Vectors whose call the oracle refuses, and why it need not know it. None does."""

FAULTY: dict[str, str] = {}
"""Vectors that the oracle does not reproduce, and why vector or text is at fault. None is."""


@dataclass(frozen=True, slots=True)
class Vector:
    name: str
    model: onnx.ModelProto
    call: OperatorCall
    answered: dict[str, np.ndarray]
    """The evaluator's answers by formal output name."""
    tolerance: tuple[float, float]
    """The relative and the absolute one that the package itself compares with."""
    expanded: bool = False

    @property
    def dtype(self):
        """The type of the first floating input; of float32 where all are integers."""
        kinds = (x.dtype for x in self.call.inputs.values())
        return next((kind.name for kind in kinds if kind.kind not in "iub"), "float32")


@cache
def vectors():
    """Return every vector, in the package's order."""
    cases = _cases()
    single = {
        case.name: call_of(case)
        for case in cases
        if len(case.model.graph.node) == 1
        and not case.model.graph.node[0].domain
        and case.model.graph.node[0].op_type in STANDARD
    }
    found = []
    for case in cases:
        plain = _EXPANDED.sub("", case.name)
        if plain in single:
            call, answered = single[plain]
            tolerance = case.rtol, case.atol
            found.append(
                Vector(case.name, case.model, call, answered, tolerance, plain != case.name)
            )
    return tuple(found)


def _cases():
    """Return the cases of all modules whose source makes a node of one of the operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluator overflows on purpose
        package = importlib.import_module(_PACKAGE)
        wanted = re.compile("|".join(rf'"{name}"' for name in STANDARD))
        for file in sorted(Path(package.__file__).parent.glob("*.py")):
            if wanted.search(file.read_text(encoding="utf-8")):
                importlib.import_module(f"{_PACKAGE}.{file.stem}")
    return list(package._NodeTestCases)


def call_of(case):
    """Return the call that a case of one node makes, and its answers by formal output name."""
    node, opset = case.model.graph.node[0], case.model.opset_import[0].version
    schema = onnx.defs.get_schema(node.op_type, opset)
    arrays, answers = (iter(side) for side in case.data_sets[0])
    inputs = {
        formal.name: np.asarray(next(arrays))
        for formal, name in zip(schema.inputs, node.input, strict=False)
        if name
    }
    answered = {
        formal.name: np.asarray(next(answers))
        for formal, name in zip(schema.outputs, node.output, strict=False)
        if name
    }
    attributes = {a.name: _attribute(a) for a in node.attribute}
    return OperatorCall(node.op_type, opset, inputs, attributes, tuple(answered)), answered


def _attribute(attribute):
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def evaluators_contract(dtype):
    """Return the contract of the evaluator: all in the type of the tensors."""
    return contract(dtype, accumulation=dtype, phase=dtype)


def rho(observed, wanted):
    """Return the largest ratio of error to bound; infinity where form or special values differ.

    Args:
        observed: arrays by formal output name.
        wanted: the oracle's answers by the same names, with finite bounds.
    """
    return max((_rho(observed[name], answer) for name, answer in wanted.items()), default=0.0)


def _rho(array, answer):
    assert np.isfinite(answer.bound).all(), "an infinite bound would pass any answer"
    if array.shape != answer.value.shape or array.dtype.name != answer.dtype:
        return np.inf
    value = np.asarray(answer.value, dtype=np.float64)
    observed = array.astype(np.float64)
    special = ~np.isfinite(value)
    if not np.array_equal(observed[special], value[special], equal_nan=True):
        return np.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(observed - value)[~special]
        ratio = np.where(error == 0, 0.0, error / answer.bound[~special])
    return float(np.nan_to_num(ratio, nan=np.inf, posinf=np.inf).max(initial=0.0))
