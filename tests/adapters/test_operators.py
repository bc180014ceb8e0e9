"""Every built-in adapter that claims operators answers them by the standard's formal names.

A wide limit, 20 roundings of the largest value: enough for any honest order of summation, and far
from any mistake in the wiring. The checks of the suite judge a runtime's numbers.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from conformance import spec
from conformance.errors import Unsupported
from conformance.oracles import standard
from conformance.records import OperatorCall

LENIENCE = 20


@pytest.fixture
def computing(candidate):
    if "operators" not in candidate.info.claims.capabilities:
        pytest.skip("claims no operators")
    return candidate


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


ANGLES = np.outer(np.arange(9), [1.0, 0.1, 0.01, 0.001])
ROTATIONS = {
    "cos_cache": np.cos(ANGLES).astype(np.float32),
    "sin_cache": np.sin(ANGLES).astype(np.float32),
}
AT = np.array([[3, 4, 5], [0, 8, 1]])
ATTENTION = {
    "Q": normal(2, 4, 3, 8),
    "K": normal(2, 2, 5, 8, seed=1),
    "V": normal(2, 2, 5, 8, seed=2),
}
SQUARE = {**ATTENTION, "K": ATTENTION["K"][:, :, :3], "V": ATTENTION["V"][:, :, :3]}
PAST = {"past_key": normal(2, 2, 4, 8, seed=3), "past_value": normal(2, 2, 4, 8, seed=4)}
FLAT = {"Q": normal(2, 3, 32), "K": normal(2, 5, 16, seed=1), "V": normal(2, 5, 16, seed=2)}
LOSS = {"scores": normal(6, 9), "labels": np.array([0, 8, 3, -100, 3, -100])}
MASK = np.arange(5) < np.array([[1], [3], [5]])
CALLS = {
    "gather": ("Gather", 13, {"data": normal(9, 4), "indices": np.array([[8, 0, 3]])}, {}),
    "matmul": ("MatMul", 13, {"A": normal(2, 3, 7), "B": normal(7, 4, seed=1)}, {}),
    "mul": ("Mul", 14, {"A": normal(3, 4), "B": normal(3, 4, seed=1)}, {}),
    "sigmoid": ("Sigmoid", 13, {"X": 9 * normal(50)}, {}),
    "softmax": ("Softmax", 13, {"input": 9 * normal(2, 3, 50)}, {}),
    "softmax axis": ("Softmax", 13, {"input": 9 * normal(2, 3, 50)}, {"axis": 1}),
    "log softmax": ("LogSoftmax", 13, {"input": 9 * normal(2, 50)}, {"axis": -1}),
    "swish": ("Swish", 24, {"X": 9 * normal(50)}, {}),
    "swish alpha": ("Swish", 24, {"X": 9 * normal(50)}, {"alpha": 1.7}),
    "rms": ("RMSNormalization", 23, {"X": normal(2, 3, 8), "scale": normal(8, seed=1)}, {}),
    "rms epsilon": (
        "RMSNormalization",
        23,
        {"X": 1e-3 * normal(2, 3, 8), "scale": normal(8, seed=1)},
        {"epsilon": 1e-6, "axis": 2},
    ),
    "rope": ("RotaryEmbedding", 23, {"X": normal(2, 4, 3, 8), "position_ids": AT, **ROTATIONS}, {}),
    "rope interleaved": (
        "RotaryEmbedding",
        23,
        {"X": normal(2, 4, 3, 8), "position_ids": AT, **ROTATIONS},
        {"interleaved": 1},
    ),
    "rope flat": (
        "RotaryEmbedding",
        23,
        {"X": normal(2, 3, 32), "position_ids": AT, **ROTATIONS},
        {"num_heads": 4},
    ),
    "rope partial": (
        "RotaryEmbedding",
        23,
        {"X": normal(2, 4, 3, 12), "position_ids": AT, **ROTATIONS},
        {"rotary_embedding_dim": 8},
    ),
    "attention": ("Attention", 23, ATTENTION, {}),
    "attention scale": ("Attention", 23, ATTENTION, {"scale": 1}),
    "attention causal": ("Attention", 23, SQUARE, {"is_causal": 1}),
    "attention causal wide": ("Attention", 23, ATTENTION, {"is_causal": 1}),
    "attention bool": ("Attention", 23, {**ATTENTION, "attn_mask": MASK}, {}),
    "attention bias": ("Attention", 23, {**ATTENTION, "attn_mask": normal(2, 1, 3, 5, seed=5)}, {}),
    "attention causal bool": (
        "Attention",
        23,
        {**ATTENTION, "attn_mask": MASK[::-1].copy()},
        {"is_causal": 1},
    ),
    "attention flat": ("Attention", 23, FLAT, {"q_num_heads": 4, "kv_num_heads": 2}),
    "loss": ("SoftmaxCrossEntropyLoss", 13, LOSS, {"ignore_index": -100}),
    "loss sum": (
        "SoftmaxCrossEntropyLoss",
        13,
        LOSS,
        {"ignore_index": -100, "reduction": "sum"},
    ),
}
OUTPUTS = {"Gather": "output", "Softmax": "output", "LogSoftmax": "output", "Mul": "C"}
OUTPUTS["SoftmaxCrossEntropyLoss"] = "output"


def call_of(case):
    operator, opset, inputs, attributes = CALLS[case]
    return OperatorCall(operator, opset, inputs, attributes, (OUTPUTS.get(operator, "Y"),))


@pytest.mark.parametrize("case", CALLS)
def test_operators_answer_by_formal_name_what_the_oracle_answers(computing, case):
    call = call_of(case)
    truth = standard.expected(call, spec.load().contracts["fp32"])
    answer = computing.operator(call)
    assert list(answer) == list(call.outputs)
    for name, expected in truth.items():
        assert answer[name].shape == expected.value.shape
        assert answer[name].dtype == np.float32
        limit = LENIENCE * 2.0**-24 * np.abs(expected.value).max()
        assert np.abs(answer[name] - expected.value).max() <= limit


def test_several_outputs_come_each_by_its_name(computing):
    inputs, outputs = {**SQUARE, **PAST}, ("Y", "present_key", "present_value")
    call = OperatorCall("Attention", 23, inputs, {"is_causal": 1}, outputs)
    answer = computing.operator(call)
    assert list(answer) == list(call.outputs)
    truth = standard.expected(call, spec.load().contracts["fp32"])["Y"]
    assert (np.abs(answer["Y"] - truth.value) <= truth.bound).all()
    keys = np.concatenate([PAST["past_key"], SQUARE["K"]], axis=2)
    assert np.array_equal(answer["present_key"], keys)


def test_a_made_up_operator_is_unsupported(computing):
    with pytest.raises(Unsupported, match="Nonesuch"):
        computing.operator(OperatorCall("Nonesuch", 23, {"X": normal(2)}))


def test_a_made_up_attribute_output_or_domain_is_never_passed_over(computing):
    inputs = {"X": normal(2)}
    for call in (
        OperatorCall("Swish", 24, inputs, {"beta": 1.0}),
        OperatorCall("Swish", 24, inputs, {}, ("Z",)),
        OperatorCall("Swish", 24, inputs, {}, ("Y",), "com.example"),
    ):
        with pytest.raises(Exception, match=r"beta|'Z'|, Z|not Z|com\.example"):
            computing.operator(call)


def test_bfloat16_is_computed_or_refused(computing):
    x = normal(4, 8).astype(ml_dtypes.bfloat16)
    call = OperatorCall("Softmax", 13, {"input": x}, {}, ("output",))
    if computing.info.name in ("pytorch", "jax"):
        assert computing.operator(call)["output"].dtype == x.dtype
    elif computing.info.name == "onnxruntime":
        with pytest.raises(Unsupported, match=r"Softmax|bfloat16"):
            computing.operator(call)
