"""Where the residual stream of a graph is found, and what is said where it is not."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper

from conformance.adapters import _onnx_taps, onnx_reference, onnxruntime
from conformance.errors import NotInBuild

ADAPTERS = {"onnxruntime": onnxruntime, "onnx_reference": onnx_reference}
IDS = np.array([[5, 9, 9, 2], [1, 2, 3, 4]])
TOKENS = (IDS, np.ones_like(IDS), np.tile(np.arange(4), (2, 1)))


@pytest.fixture(params=ADAPTERS)
def candidate(request):
    with ADAPTERS[request.param].open("", {}) as opened:
        yield opened


def read(file):
    return onnx.load(file)


def anonymous(model):
    """Return the model with its streams named like any other value."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [name.replace("layer.", "add_of_") for name in names]
    return model


def folder_with(model, folder, **saving):
    onnx.save(model, folder / "model.onnx", **saving)
    return SimpleNamespace(config={}, file=lambda name: folder / name)


def test_the_suites_exports_name_the_stream_and_have_no_output_for_it(package):
    graph = read(package.file("model.onnx")).graph
    assert _onnx_taps.taps(graph) == {"layer.0": "layer.0", "layer.1": "layer.1"}
    assert not [out.name for out in graph.output if out.name.startswith("layer.")]


def test_without_names_the_structure_tells_the_same_values(package):
    graph = anonymous(read(package.file("model.onnx"))).graph
    assert _onnx_taps.taps(graph) == {"layer.0": "add_of_0", "layer.1": "add_of_1"}


def layer_of_fused_nodes(i, x):
    """Return the nodes of a layer of fused ones, whose stream is ``x`` and then ``end_i``."""
    past, present = ([f"{end}.{i}.{part}" for part in ("key", "value")] for end in CACHE)
    product = functools.partial(helper.make_node, "MatMul")
    return [
        helper.make_node("RMSNormalization", [x, "w"], [f"normed_{i}"]),
        *(product([f"normed_{i}", f"w{part}"], [f"{part}_{i}"]) for part in "qkv"),
        helper.make_node(
            "Attention", [*(f"{part}_{i}" for part in "qkv"), "", *past], [f"y_{i}", *present]
        ),
        product([f"y_{i}", "wo"], [f"o_{i}"]),
        helper.make_node("Add", [f"o_{i}", x], [f"mid_{i}"]),
        helper.make_node("RMSNormalization", [f"mid_{i}", "w"], [f"normed_mid_{i}"]),
        product([f"normed_mid_{i}", "wup"], [f"up_{i}"]),
        product([f"up_{i}", "wdown"], [f"down_{i}"]),
        helper.make_node("Add", [f"mid_{i}", f"down_{i}"], [f"end_{i}"]),
    ]


CACHE = ("past_key_values", "present")


def test_the_structure_is_read_where_norm_and_attention_are_one_node():
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["x"]),
        *layer_of_fused_nodes(0, "x"),
        *layer_of_fused_nodes(1, "end_0"),
        helper.make_node("RMSNormalization", ["end_1", "w"], ["last"]),
        helper.make_node("MatMul", ["last", "head"], ["logits"]),
    ]
    names = ["logits", *(f"present.{i}.{part}" for i in (0, 1) for part in ("key", "value"))]
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    graph = helper.make_graph(nodes, "fused", [], outputs)
    assert _onnx_taps.taps(graph) == {"layer.0": "end_0", "layer.1": "end_1"}


def test_a_sum_of_two_branches_is_not_the_stream(package):
    """As a low-rank adapter adds to a projection."""
    model = anonymous(read(package.file("model.onnx")))
    (value,) = [n for n in model.graph.node if n.output[0] == "present.1.value"]
    projected = value.input[1]
    (maker,) = [n for n in model.graph.node if projected in n.output]
    maker.output[0] = "whole"
    halves = [helper.make_node("Identity", ["whole"], [half]) for half in ("one", "other")]
    at = list(model.graph.node).index(maker) + 1
    for node in (helper.make_node("Add", ["one", "other"], [projected]), *reversed(halves)):
        model.graph.node.insert(at, node)
    assert _onnx_taps.taps(model.graph)["layer.0"] == "add_of_0"


def test_where_no_sum_is_certain_nothing_is_guessed(package):
    model = anonymous(read(package.file("model.onnx")))
    for node in model.graph.node:
        if node.op_type == "Add":
            node.op_type, node.domain = "FusedAdd", "acme"
    with pytest.raises(NotInBuild, match=r"no sum is certain .* Name the values layer\.0"):
        _onnx_taps.taps(model.graph)


def test_a_graph_without_cache_outputs_has_no_layers_to_tell(package):
    model = anonymous(read(package.file("model.onnx")))
    kept = [out for out in model.graph.output if out.name == "logits"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    with pytest.raises(NotInBuild, match=r"no outputs present\.0\.value"):
        _onnx_taps.taps(model.graph)


def test_a_graph_with_branches_is_not_read_by_structure(package):
    model = anonymous(read(package.file("model.onnx")))
    empty = helper.make_graph([], "then", [], [])
    branch = helper.make_node("If", ["le_1"], ["x"], then_branch=empty, else_branch=empty)
    model.graph.node.append(branch)
    with pytest.raises(NotInBuild, match="it has branches"):
        _onnx_taps.taps(model.graph)


def test_names_for_some_layers_alone_are_not_believed(package):
    model = read(package.file("model.onnx"))
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["last" if name == "layer.1" else name for name in names]
    assert _onnx_taps.taps(model.graph) == {"layer.0": "layer.0", "layer.1": "last"}


def test_weights_beside_the_graph_are_found(candidate, package, tmp_path):
    expected = candidate.load(package).hidden_states(*TOKENS)
    model = read(package.file("model.onnx"))
    beside = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 1024}
    states = candidate.load(folder_with(model, tmp_path, **beside)).hidden_states(*TOKENS)
    assert (tmp_path / "model.onnx.data").stat().st_size > 100_000
    assert (tmp_path / "model.onnx").stat().st_size < 100_000
    assert list(states) == ["layer.0", "layer.1"]
    for name, state in states.items():
        assert np.array_equal(state, expected[name])


def test_the_graph_that_answers_logits_is_opened_as_it_is(package, monkeypatch):
    """Inner values are shown by a second graph, made when they are asked for, and not before."""
    opened = []
    honest = onnxruntime._Opener.__call__

    def counted(self, model, *more):
        opened.append(model)
        return honest(self, model, *more)

    monkeypatch.setattr(onnxruntime._Opener, "__call__", counted)
    with onnxruntime.open("", {"threads": "1"}) as candidate:
        model = candidate.load(package)
        before = model.logits(*TOKENS)
        assert opened == [str(package.file("model.onnx"))]
        model.hidden_states(*TOKENS)
        assert len(opened) == 2
        assert isinstance(opened[1], bytes)
        assert np.array_equal(model.logits(*TOKENS), before)


def test_the_file_of_the_package_stays_as_it_was(candidate, package):
    before = package.file("model.onnx").read_bytes()
    candidate.load(package).hidden_states(*TOKENS)
    assert package.file("model.onnx").read_bytes() == before


def test_a_graph_that_shows_no_stream_takes_the_claim_back(candidate, package, tmp_path):
    model = anonymous(read(package.file("model.onnx")))
    (maker,) = [n for n in model.graph.node if n.output[0] == "add_of_0"]
    maker.op_type = "Sum"  # the sum before it must not be taken for it
    loaded = candidate.load(folder_with(model, tmp_path))
    assert np.isfinite(loaded.logits(*TOKENS)).all()
    states = loaded.hidden_states
    with pytest.raises(NotInBuild, match=r"not found in model\.onnx"):
        states(*TOKENS)
