"""The oracle reproduces the ONNX package's own node vectors, or says why it does not."""

from __future__ import annotations

import importlib
import warnings
from functools import cache

import numpy as np
import onnx
import pytest
from onnx.defs import get_schema

from conformance.errors import SpecError
from conformance.oracles.standard import OPERATORS, expected
from conformance.records import OperatorCall
from contracts import contract

UNKNOWN = {
    "nonpad_kv_seqlen": "an external cache (Attention-24) is not known to the oracle",
    "left_window_size": "windows (Attention-25) are not known to the oracle",
    "right_window_size": "windows (Attention-25) are not known to the oracle",
    "integers": "products of integers are not what a decoder computes",
}


def evaluators(name):
    """Return the evaluator's contract: all in the type of the tensors."""
    return contract(name, accumulation=name, phase=name)


MODULES = (
    "attention",
    "gather",
    "logsoftmax",
    "matmul",
    "mul",
    "rmsnormalization",
    "rotaryembedding",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy_loss",
    "swish",
)
"""Where the package keeps the vectors of the operators; loading all of them takes 12 seconds."""


@cache
def vectors():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node = importlib.import_module("onnx.backend.test.case.node")
        for module in MODULES:
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
    return [
        case
        for case in node._NodeTestCases
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in OPERATORS
    ]


def call_of(case):
    node, opset = case.model.graph.node[0], case.model.opset_import[0].version
    schema = get_schema(node.op_type, opset)
    given = iter(case.data_sets[0][0])
    inputs = {
        formal.name: next(given)
        for formal, name in zip(schema.inputs, node.input, strict=False)
        if name
    }
    answers = iter(case.data_sets[0][1])
    answered = {
        formal.name: next(answers)
        for formal, name in zip(schema.outputs, node.output, strict=False)
        if name
    }
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return OperatorCall(node.op_type, opset, inputs, attributes, tuple(answered)), answered


def reason_unknown(call):
    floats = [x for x in call.inputs.values() if x.dtype.kind not in "iub"]
    for word in (*call.inputs, *call.attributes):
        if word in UNKNOWN:
            return UNKNOWN[word]
    return None if floats else UNKNOWN["integers"]


def ratio(observed, wanted):
    observed = np.asarray(observed, dtype=np.float64)
    special = ~np.isfinite(wanted.value)
    assert np.array_equal(observed[special], wanted.value[special], equal_nan=True)
    error = np.abs(observed - np.where(special, 0, wanted.value))[~special]
    bound = wanted.bound[~special]
    assert (error[bound == 0] == 0).all()
    return float((error[bound > 0] / bound[bound > 0]).max(initial=0.0))


def float_type(call):
    return next(x.dtype.name for x in call.inputs.values() if x.dtype.kind not in "iub")


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_vector_is_reproduced_or_has_a_reason(operator):
    calls = [(case.name, *call_of(case)) for case in vectors()]
    calls = [row for row in calls if row[1].operator == operator]
    assert calls
    for name, call, answered in calls:
        if reason_unknown(call) is not None:
            continue
        wanted = expected(call, evaluators(float_type(call)))
        for output, array in answered.items():
            assert array.shape == wanted[output].value.shape, (name, output)
            assert ratio(array, wanted[output]) <= 1, (name, output)


def test_the_number_of_vectors_without_an_answer_is_known():
    calls = [call_of(case)[0] for case in vectors()]
    reasons = [reason_unknown(call) for call in calls]
    assert reasons.count(None) >= 165
    assert {reason for reason in reasons if reason} == set(UNKNOWN.values())


def test_attention_that_the_oracle_does_not_know_is_refused():
    for case in vectors():
        call = call_of(case)[0]
        if reason_unknown(call) not in (None, UNKNOWN["integers"]):
            with pytest.raises(SpecError, match="oracle knows"):
                expected(call, evaluators("float32"))
