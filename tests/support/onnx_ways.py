"""Ways to compute a standard operator: runtime or evaluator, its kernel or the standard's body.

Calls are those that the suite's own checks make of an honest candidate, kill inputs included.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from node_vectors import evaluators_contract
from onnx.backend.test.case.node import function_testcase_helper
from onnx.reference import ReferenceEvaluator

from conformance import precision, spec
from conformance.adapters import _onnx_operators, reference
from conformance.adapters import onnxruntime as adapter
from conformance.adapters._onnx_graphs import graph, node_of
from conformance.adapters._torch import PRECISIONS
from conformance.matrix.corpus import Corpus
from conformance.oracles.standard import expected
from conformance.records import CandidateInfo, Claims, OperatorCall

_SILENT = 4
_KEPT = 512
KERNEL, BODY, EVALUATOR, EVALUATOR_BODY = WAYS = (
    "ONNX Runtime, kernel",
    "ONNX Runtime, body",
    "evaluator",
    "evaluator, body",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, and the requirement whose check makes it."""

    requirement: str
    call: OperatorCall


class _Recorder:
    """An honest candidate that remembers what it was asked."""

    def __init__(self, contract) -> None:
        self._honest = reference._Candidate(Claims(frozenset({"operators"})), contract)
        claims = Claims(frozenset({"operators"}), contract.name)
        self.info = CandidateInfo("recorder", "1", "numpy", "cpu", claims)
        self.asked = []

    def operator(self, call):
        self.asked.append(call)
        return self._honest.operator(call)


@functools.cache
def calls(dtype):
    """Return every call of a standard operator that checks make in a type."""
    standard = spec.load()
    contract = standard.contracts[PRECISIONS[dtype]]
    recorder, corpus, found = _Recorder(contract), Corpus(contract, ()), []
    for requirement in standard.requirements.values():
        if requirement.untestable or set(requirement.needs) != {"operators"}:
            continue
        recorder.asked.clear()
        corpus.judge(recorder, [requirement])
        found += [Asked(requirement.id, call) for call in recorder.asked if not call.domain]
    return tuple(found)


def has_body(call):
    schema = onnx.defs.get_schema(call.operator, call.opset)
    return schema.has_function or schema.has_context_dependent_function


@functools.cache
def _kernels():
    """Return operator, first version and types of every kernel of the CPU provider."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    return {
        (one.op_name, one.version_range[0], kind)
        for one in state.get_all_opkernel_def()
        if one.provider == "CPUExecutionProvider" and not one.domain
        for kinds in one.type_constraints.values()
        for kind in kinds
    }


_KINDS = {
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    "float16": "tensor(float16)",
    "bfloat16": "tensor(bfloat16)",
}


def has_kernel(call, dtype):
    since = onnx.defs.get_schema(call.operator, call.opset).since_version
    return (call.operator, since, _KINDS[dtype]) in _kernels()


@functools.lru_cache(_KEPT)
def _body(node):
    """Return the standard's function body in place of the node, as a model.

    By the helper of onnx's own backend tests: ``onnx.inliner`` stops with an assertion where a node
    leaves out an optional input.
    """
    model = onnx.load_from_string(graph(node))
    call, typed = model.graph.node[0], {value.name: value.type for value in model.graph.input}
    absent = onnx.TypeProto()
    types = [typed.get(name, absent) for name in call.input]
    bodies, _ = function_testcase_helper(call, types, "audit", model.opset_import)
    nodes, imports = bodies[-1]  # the newest that the opset allows
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.opset_import[:]
    model.opset_import.extend(imports)
    return model


@functools.lru_cache(_KEPT)
def _session(node, body):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = _body(node).SerializeToString() if body else graph(node)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@functools.lru_cache(_KEPT)
def _evaluator(node, body):
    return ReferenceEvaluator(_body(node) if body else onnx.load_from_string(graph(node)))


def answer(call, way):
    """Return a call's outputs by formal name; whatever the way raises is raised."""
    node, body = node_of(call), way in (BODY, EVALUATOR_BODY)
    if way in (KERNEL, BODY):
        given = {name: _onnx_operators._value(array) for name, array in call.inputs.items()}
        answers = _session(node, body).run_with_ort_values(list(call.outputs), given)
        arrays = [_onnx_operators._array(value) for value in answers]
    else:
        with np.errstate(all="ignore"):
            arrays = _evaluator(node, body).run(list(call.outputs), dict(call.inputs))
    return dict(zip(call.outputs, map(np.asarray, arrays), strict=True))


def wanted(call, way, dtype):
    """Return the oracle's answer: under what the adapter claims for a kernel, else the loosest."""
    if way == KERNEL:
        return expected(call, spec.contract_of(spec.load(), adapter._CLAIMS[dtype]))
    return expected(call, evaluators_contract(dtype))


@dataclass(frozen=True, slots=True)
class Error:
    """Where an answer is farthest from the oracle's."""

    bounds: float
    """The error in bounds; infinity where a special value, a shape or a type differs."""
    output: str
    place: tuple[int, ...]
    observed: float
    wanted: float


def error_of(call, way, dtype):
    """Return the largest error of a way; whatever the way raises is raised."""
    found = answer(call, way)
    errors = [_error(name, found[name], one) for name, one in wanted(call, way, dtype).items()]
    return max(errors, key=lambda error: error.bounds)


def _error(name, array, one):
    if array.shape != one.value.shape or array.dtype.name != one.dtype:
        return Error(np.inf, f"{name}: {array.dtype.name} {array.shape}", (), np.nan, np.nan)
    value, observed = (np.asarray(x, dtype=np.float64) for x in (one.value, array))
    same = (observed == value) | (np.isnan(observed) & np.isnan(value))
    special = ~np.isfinite(value) | ~np.isfinite(observed)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(special, np.inf, np.abs(observed - value) / one.bound)
    ratio = np.where(same, 0.0, ratio)
    if not ratio.size:
        return Error(0.0, name, (), np.nan, np.nan)
    place = np.unravel_index(np.argmax(ratio), ratio.shape)
    numbers = float(observed[place]), float(value[place])
    return Error(float(ratio[place]), name, tuple(map(int, place)), *numbers)


def type_of(call):
    """Return the type of a call's first floating input; None where all are integers."""
    names = (array.dtype.name for array in call.inputs.values())
    return next((name for name in names if precision.is_float(name)), None)
