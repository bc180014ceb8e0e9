"""The ONNX reference evaluator as a candidate: what it claims, and what it has no answer for."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from conformance import precision, spec
from conformance.adapters import onnx_reference
from conformance.errors import Unsupported
from conformance.oracles import standard
from conformance.records import OWN_DOMAIN, OperatorCall

TYPES = {"float32": "fp32", "float64": "fp64", "float16": "fp16", "bfloat16": "bf16"}


def normal(*shape, dtype="float32"):
    return np.random.default_rng(3).standard_normal(shape).astype(precision.dtype(dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_the_type_of_the_option_is_the_claim_and_the_answers_type(dtype):
    x = normal(3, 8, dtype=dtype)
    call = OperatorCall("Softmax", 13, {"input": x}, {}, ("output",))
    with onnx_reference.open("", {"dtype": dtype}) as candidate:
        claims = candidate.info.claims
        answer = candidate.operator(call)["output"]
    assert claims.precision == TYPES[dtype]
    assert ("logits" in claims.capabilities) == (dtype != "float64")
    assert answer.dtype == x.dtype
    truth = standard.expected(call, spec.contract_of(spec.load(), claims))["output"]
    # The evaluator rounds exponentials, their sum and the quotient to the type.
    assert (np.abs(answer.astype(np.float64) - truth.value) <= 4 * truth.bound).all()


def test_an_operator_of_the_suites_own_is_several_nodes():
    call = OperatorCall(
        "RotaryPhases",
        23,
        {"position_ids": np.array([[0, 5], [4095, 7]])},
        {"theta": 10000.0, "dim": 8, "scaling": "linear", "factor": 2.0, "dtype": "bfloat16"},
        ("cos", "sin"),
        OWN_DOMAIN,
    )
    with onnx_reference.open("", {}) as candidate:
        answer = candidate.operator(call)
    assert list(answer) == ["cos", "sin"]
    assert {y.dtype for y in answer.values()} == {np.dtype(ml_dtypes.bfloat16)}


def test_what_the_evaluator_does_not_implement_is_unsupported():
    inputs = {"X": normal(2, 4), "scale": normal(4)}
    call = OperatorCall("RMSNormalization", 23, inputs, {"stash_type": 11})
    with (
        onnx_reference.open("", {}) as candidate,
        pytest.raises(Unsupported, match="does not implement RMSNormalization"),
    ):
        candidate.operator(call)
