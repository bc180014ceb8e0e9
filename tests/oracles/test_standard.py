"""The table of operators follows the ONNX schemas, and an honest engine stays within its bounds."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.defs import get_schema

from conformance.errors import SpecError
from conformance.oracles.standard import OPERATORS, expected
from conformance.records import OperatorCall
from contracts import contract

OPSET = 24
f32 = np.float32


FP32 = contract("float32")


def onnxruntime_answer(call):
    schema = get_schema(call.operator, call.opset)
    given = [x.name if x.name in call.inputs else "" for x in schema.inputs]
    wanted = [x.name if x.name in call.outputs else "" for x in schema.outputs]
    node = onnx.helper.make_node(call.operator, given, wanted, **call.attributes)
    graph = onnx.helper.make_graph(
        [node],
        "call",
        [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in call.inputs.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(name) for name in wanted if name],
    )
    opsets = [onnx.helper.make_opsetid("", call.opset)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return dict(zip(call.outputs, session.run(list(call.outputs), dict(call.inputs)), strict=True))


def rho(observed, wanted):
    observed = observed.astype(np.float64)
    special = ~np.isfinite(wanted.value)
    assert np.array_equal(observed[special], wanted.value[special], equal_nan=True)
    error = np.abs(observed - np.where(special, 0, wanted.value))[~special]
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(error == 0, 0, error / wanted.bound[~special]).max(initial=0.0))


def calls(seed):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.normal(size=shape) * 3).astype(f32)

    call = OperatorCall
    q, k, v = draw(2, 4, 5, 8), draw(2, 2, 5, 8), draw(2, 2, 5, 6)
    caches = {"cos_cache": np.cos(draw(50, 4)), "sin_cache": np.sin(draw(50, 4))}
    positions = rng.integers(0, 50, size=(2, 5))
    labels = rng.integers(0, 7, size=(6,))
    yield call("Gather", OPSET, {"data": draw(9, 4), "indices": labels}, {}, ("output",))
    yield call("MatMul", OPSET, {"A": draw(3, 4, 129), "B": draw(129, 5)})
    yield call("Mul", OPSET, {"A": draw(3, 4), "B": draw(3, 4)}, {}, ("C",))
    yield call("RMSNormalization", OPSET, {"X": draw(3, 77) * f32(1e-3), "scale": draw(77)})
    yield call("RotaryEmbedding", OPSET, {"X": q, **caches, "position_ids": positions})
    yield call("Softmax", OPSET, {"input": draw(4, 99) * f32(5)}, {}, ("output",))
    yield call("LogSoftmax", OPSET, {"input": draw(4, 99) * f32(5)}, {}, ("output",))
    yield call("Sigmoid", OPSET, {"X": draw(400)})
    yield call("Swish", OPSET, {"X": draw(400)})
    yield call("Attention", OPSET, {"Q": q, "K": k, "V": v}, {"is_causal": 1})
    yield call("Attention", OPSET, {"Q": q, "K": k, "V": v}, {"softcap": 5.0, "scale": 0.3})
    for weights in ({}, {"weights": np.abs(draw(7))}):
        for reduction in ("none", "sum", "mean"):
            yield call(
                "SoftmaxCrossEntropyLoss",
                OPSET,
                {"scores": draw(6, 7), "labels": labels, **weights},
                {"reduction": reduction, "ignore_index": int(labels[0])},
                ("output", "log_prob"),
            )


@pytest.mark.parametrize("seed", range(5))
def test_onnxruntime_stays_within_every_bound(seed):
    for call in calls(seed):
        answer, wanted = onnxruntime_answer(call), expected(call, FP32)
        for name in call.outputs:
            assert rho(answer[name], wanted[name]) <= 1, (call.operator, name)


@pytest.mark.parametrize("name", [name for name, row in OPERATORS.items() if not row.domain])
def test_formal_names_and_defaults_are_those_of_the_standard(name):
    row = OPERATORS[name]
    schema = get_schema(name, max((row.since, *row.later.values())))
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    assert row.required == tuple(x.name for x in schema.inputs if x.option == single)
    assert row.optional == tuple(x.name for x in schema.inputs if x.option != single)
    assert row.outputs == tuple(x.name for x in schema.outputs)
    assert set(row.attributes) == set(schema.attributes)
    for key, attribute in schema.attributes.items():
        if attribute.default_value.name:
            default = onnx.helper.get_attribute_value(attribute.default_value)
            default = default.decode() if isinstance(default, bytes) else default
            assert row.attributes[key] == default, key


def test_what_came_later_is_unknown_to_the_version_before():
    for name, row in OPERATORS.items():
        for key, version in row.later.items():
            schemas = get_schema(name, version - 1), get_schema(name, version)
            known = [{*(x.name for x in s.inputs), *s.attributes} for s in schemas]
            assert key not in known[0]
            assert key in known[1]


X = np.ones((2, 3), f32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (OperatorCall("Sofmax", 13, {"input": X}), "Did you mean 'Softmax'"),
        (OperatorCall("Softmax", 13, {"input": X}, domain="com.microsoft"), "com.microsoft"),
        (OperatorCall("Softmax", 12, {"input": X}), "Softmax-12: the oracle knows opsets 13"),
        (OperatorCall("Attention", 26, {"Q": X, "K": X, "V": X}), "opsets 23 to 25"),
        (
            OperatorCall("Attention", 24, {"Q": X, "K": X, "V": X}, {"left_window_size": 1}),
            "Attention-24: the oracle knows no attribute 'left_window_size'",
        ),
        (OperatorCall("Softmax", 13, {"x": X}), "no input 'x'"),
        (OperatorCall("Softmax", 13, {"input": X}, {"axes": 1}), "no attribute 'axes'"),
        (OperatorCall("Softmax", 13, {"input": X}), "no output 'Y'"),
        (OperatorCall("MatMul", 13, {"A": X}), "input 'B' is required"),
        (
            OperatorCall("Gather", 13, {"data": X, "indices": np.array([2])}, {}, ("output",)),
            "2..2",
        ),
        (OperatorCall("Attention", 23, {"Q": X[None], "K": X[None], "V": X[None]}), "None heads"),
    ],
)
def test_unknown_call_is_a_fault_of_the_suite(call, message):
    with pytest.raises(SpecError, match=message):
        expected(call, FP32)


def test_result_that_the_output_type_cannot_hold_is_infinite():
    a = np.array([[300.0], [200.0]], np.float16)
    wanted = expected(OperatorCall("MatMul", 13, {"A": a, "B": a.T.copy()}), contract("float16"))
    assert wanted["Y"].value[0, 0] == np.inf
    assert wanted["Y"].bound[0, 0] == 0
    assert wanted["Y"].value[1, 1] == 40000


def test_inputs_are_taken_in_their_own_rounded_type():
    a = np.array([[0.1]], np.float16)
    wanted = expected(
        OperatorCall("MatMul", 13, {"A": a, "B": np.array([[1.0]], np.float16)}), FP32
    )
    assert wanted["Y"].value[0, 0] == float(np.float16(0.1))


def test_float_attribute_is_the_one_that_onnx_stores():
    x, scale = np.full((1, 4), 1e-3, f32), np.ones(4, f32)
    call = OperatorCall("RMSNormalization", 23, {"X": x, "scale": scale}, {"epsilon": 0.1})
    wanted = float(x[0, 0]) / np.sqrt(float(x[0, 0]) ** 2 + float(f32(0.1)))
    assert expected(call, FP32)["Y"].value[0, 0] == pytest.approx(wanted, rel=1e-15)


def test_cached_keys_come_first_and_are_visible_to_every_query():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(1, 2, 6, 4)).astype(f32) for _ in range(3))
    whole = expected(
        OperatorCall("Attention", 23, {"Q": q, "K": k, "V": v}, {"is_causal": 1}), FP32
    )
    inputs = {"Q": q[:, :, 4:], "K": k[:, :, 4:], "V": v[:, :, 4:]}
    past = {"past_key": k[:, :, :4], "past_value": v[:, :, :4]}
    outputs = ("Y", "present_key")
    call = OperatorCall("Attention", 23, {**inputs, **past}, {"is_causal": 1}, outputs)
    tail = expected(call, FP32)
    assert np.allclose(tail["Y"].value, whole["Y"].value[:, :, 4:], rtol=1e-14)
    assert np.array_equal(tail["present_key"].value, k)
