"""What only the ONNX Runtime adapter has: graphs, providers, options."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from conformance.adapters import _onnx_graphs, _onnx_operators
from conformance.adapters import onnxruntime as adapter
from conformance.errors import CandidateUnavailable, Unsupported
from conformance.records import OperatorCall

CPU = "CPUExecutionProvider"


def softmax_of(x, **attributes):
    return OperatorCall("Softmax", 13, {"input": x}, attributes, ("output",))


@pytest.fixture
def candidate():
    with adapter.open("", {}) as opened:
        yield opened


def test_calls_of_other_sizes_share_a_graph_and_others_do_not():
    made = []

    def opener(graph):
        made.append(graph)
        return onnxruntime.InferenceSession(graph, providers=[CPU])

    operators = _onnx_operators.Operators(opener)
    for size in (1, 3, 0):
        shape = operators.compute(softmax_of(np.ones((2, size), np.float32)))["output"].shape
        assert shape == (2, size)
    assert len(made) == 1
    operators.compute(softmax_of(np.ones((2, 3), np.float32), axis=0))
    operators.compute(softmax_of(np.ones((2, 3, 1), np.float32)))
    operators.compute(softmax_of(np.ones((2, 3), np.float64)))
    assert len(made) == 4


def test_a_graph_is_valid_and_keeps_the_place_of_an_input_that_is_left_out():
    x = np.ones((1, 1, 2, 4), np.float32)
    inputs = {"Q": x, "K": x, "V": x, "past_key": x, "past_value": x}
    call = OperatorCall(
        "Attention", 23, inputs, {"scale": 1}, ("Y", "present_key", "present_value")
    )
    model = onnx.load_from_string(_onnx_graphs.graph(_onnx_graphs.node_of(call)))
    (node,) = model.graph.node
    assert list(node.input) == ["Q", "K", "V", "", "past_key", "past_value"]
    assert node.attribute[0].f == 1.0
    assert node.attribute[0].type == onnx.AttributeProto.FLOAT
    assert model.opset_import[0].version == 23


@pytest.mark.parametrize("level", ["all", "extended", "basic", "disable"])
def test_every_level_of_optimization_answers(level, package):
    with adapter.open(CPU, {"optimization": level, "threads": "1"}) as opened:
        ids = np.array([[1, 2, 3]])
        logits = opened.load(package).logits(ids, np.ones_like(ids), np.arange(3)[None])
    assert np.isfinite(logits).all()


def test_bad_options_and_providers_are_unavailable():
    for target, options, words in (
        ("", {"optimization": "al"}, "Did you mean 'all'"),
        ("", {"threads": "many"}, "threads='many' is not a number"),
        ("CPUExecutionProvder", {}, "Did you mean 'CPUExecutionProvider'"),
    ):
        with (
            pytest.raises(CandidateUnavailable, match=words),
            adapter.open(target, options),
        ):
            pass


def test_a_provider_that_falls_back_to_another_is_unavailable(monkeypatch):
    fallen = SimpleNamespace(get_providers=lambda: [CPU])
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AcmeExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: fallen)
    with (
        adapter.open("AcmeExecutionProvider", {}) as opened,
        pytest.raises(
            CandidateUnavailable, match=r"Acme.* could not be started; onnxruntime offers"
        ),
    ):
        opened.operator(softmax_of(np.ones(3, np.float32)))


def small_graph(tmp_path, **inputs):
    """Write a graph that answers its token ids as logits (B, T, 1)."""
    int64 = onnx.TensorProto.INT64
    graph = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["input_ids", "axis"], ["wide"]),
            helper.make_node("Cast", ["wide"], ["logits"], to=onnx.TensorProto.FLOAT),
        ],
        "small",
        [helper.make_tensor_value_info(name, int64, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["B", "T", 1])],
        [helper.make_tensor("axis", int64, [1], [2])],
    )
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, ir_version=10), file)
    return SimpleNamespace(config={}, file=lambda name: {"model.onnx": file}[name])


def test_a_graph_without_cache_answers_logits_and_refuses_sessions(candidate, tmp_path):
    model = candidate.load(small_graph(tmp_path, input_ids=["B", "T"]))
    ids = np.array([[4, 5]])
    assert model.logits(ids, ids, ids).tolist() == [[[4.0], [5.0]]]
    with pytest.raises(Unsupported, match="it has no cache"):
        model.start(1)


def test_a_graph_with_unknown_inputs_is_refused_by_their_names(candidate, tmp_path):
    strange = small_graph(tmp_path, input_ids=["B", "T"], token_type_ids=["B", "T"])
    with pytest.raises(Unsupported, match=r"token_type_ids.* mean nothing here"):
        candidate.load(strange)


def test_info_names_version_and_provider(candidate):
    info = dataclasses.asdict(candidate.info)
    assert info["version"] == onnxruntime.__version__
    assert CPU in info["runtime"]


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("QNNExecutionProvider", "another build is needed"),
        ("QNN", "there is no execution provider"),
    ],
)
def test_a_provider_of_another_build_is_told_apart_from_one_that_does_not_exist(provider, said):
    with pytest.raises(CandidateUnavailable, match=said), adapter.open(provider, {}):
        pass
