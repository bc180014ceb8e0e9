"""Where an error begins: runtimes with one wrong kernel, graphs that are not the model."""

from __future__ import annotations

import dataclasses
import functools
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops import op_cos, op_div, op_matmul, op_sigmoid, op_softmax, op_transpose

from conformance import models, spec
from conformance.adapters import onnx_reference
from conformance.adapters._onnx_model import GraphModel
from conformance.candidate import open_candidate
from conformance.checked import CheckedModel, RememberedOracle
from conformance.diagnosis import divergence
from conformance.diagnosis.graph import BEHIND, SHARED, Graph

NAME, LAYERS = "llama-mqa-tied", 2
FP32 = spec.load().contracts["fp32"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def package():
    return models.suite_package(NAME)


@pytest.fixture(scope="module")
def oracle(package):
    return RememberedOracle(models.oracle(package, FP32))


@pytest.fixture
def checked(package, oracle):
    """Make a checked model of what a candidate loads."""

    def make(load, contract=FP32):
        return CheckedModel(
            load=lambda _: load(),
            package=package,
            oracle=oracle,
            contract=contract,
            measure_noise=functools.partial(models.noise, package, FP32),
            measure_types=functools.partial(models.type_noise, package, FP32),
        )

    return make


@pytest.fixture(scope="module")
def file(package):
    return package.file("model.onnx")


def graph_of(file, kernels=(), shown_kernels=None, like=None):
    """Return a runtime's model of a graph: the reference evaluator with kernels of its own.

    Args:
        file: the graph.
        kernels: classes that take the place of the evaluator's.
        shown_kernels: returns the kernels where inner values are shown, from the changed graph.
        like: a graph with the same inputs that the evaluator can load, where it cannot this one.
    """

    def evaluator(model, own):
        return ReferenceEvaluator(model, new_ops=[*own])

    def opened(model):
        return evaluator(model, shown_kernels(model) if shown_kernels else kernels).run

    with onnx_reference.open("", {}) as candidate:
        honest = candidate.load(SimpleNamespace(file=lambda _: like or file, config={}))
    run = evaluator(onnx.load(file), kernels).run
    return GraphModel(run, honest._inputs, ["logits", *honest._present], file, opened)


def kernel(base, wrong, only=None):
    """Return a kernel that is wrong, in all nodes or in that of a layer; it has one in each."""
    made = []

    def init(self, *arguments, **named):
        base.__init__(self, *arguments, **named)
        self.layer = len(made) % LAYERS
        made.append(self)

    def run(self, *inputs, **attributes):
        (answer,) = base._run(self, *inputs, **attributes)
        return (answer if only not in (None, self.layer) else wrong(answer, *inputs),)

    return type(base.__name__, (base,), {"op_domain": "", "__init__": init, "_run": run})


def in_bfloat16(answer, *_):
    return answer.astype(ml_dtypes.bfloat16).astype(answer.dtype)


def without_scale(answer, a, b):
    return a if b.ndim == 0 else answer


def in_float16(answer, *_):
    return answer.astype(np.float16).astype(answer.dtype)


def one_number_lost(answer, *_):
    answer = answer.copy()
    if answer.ndim == 4:
        answer[0, 0, -1, 0] = 0
    return answer


@pytest.mark.parametrize(
    ("base", "wrong", "layer"),
    [
        (op_softmax.Softmax, in_bfloat16, "layer.0"),
        (op_matmul.MatMul, in_bfloat16, "layer.0"),
        (op_div.Div, without_scale, "layer.0"),
        (op_cos.Cos, in_float16, SHARED),
    ],
)
def test_the_first_operator_that_a_runtime_computes_wrongly_is_named(
    base, wrong, layer, checked, file
):
    found = divergence.find(checked(lambda: graph_of(file, [kernel(base, wrong)])), taps=True)
    assert (found.kind, found.operator, found.layer) == ("operator", base.__name__, layer)
    nodes = {node.name: node.op_type for node in onnx.load(file).graph.node}
    assert nodes[found.node] == base.__name__
    assert found.unit == "bounds"
    assert found.error > 100
    assert f"{found.node} ({found.operator}) in {layer}" in found.text


def test_a_kernel_that_is_wrong_in_one_layer_is_named_in_that_layer(checked, file):
    second = kernel(op_softmax.Softmax, in_bfloat16, only=1)
    found = divergence.find(checked(lambda: graph_of(file, [second])), taps=True)
    assert (found.operator, found.layer) == ("Softmax", "layer.1")


def test_what_only_moves_numbers_has_to_keep_their_bits(checked, file):
    lossy = kernel(op_transpose.Transpose, one_number_lost)
    found = divergence.find(checked(lambda: graph_of(file, [lossy])), taps=True)
    assert (found.operator, found.unit) == ("Transpose", "numbers")
    assert found.error >= 1
    assert "that differ" in found.text


def test_a_fault_that_goes_away_when_looked_at_is_an_optimisations(checked, file):
    wrong = [kernel(op_softmax.Softmax, in_bfloat16)]
    own = len(onnx.load(file).graph.output)

    def unless_watched(model):
        return [] if len(model.graph.output) > own else wrong

    found = divergence.find(checked(lambda: graph_of(file, wrong, unless_watched)), taps=True)
    assert found.kind == "optimisation"
    assert "goes away when inner values are shown" in found.text


def test_a_fault_that_is_gone_when_loaded_again_is_no_optimisations(checked, file):
    wrong = [kernel(op_softmax.Softmax, in_bfloat16)]
    found = divergence.find(checked(lambda: graph_of(file, wrong, lambda _: [])), taps=True)
    assert (found.kind, found.node) == ("unrepeatable", "")


def test_the_operator_that_an_optimisation_hides_is_named(checked, file):
    wrong = [kernel(op_softmax.Softmax, in_bfloat16)]
    softmax = next(n for n in onnx.load(file).graph.node if n.op_type == "Softmax")

    def unless_shown(model):
        return [] if softmax.output[0] in {out.name for out in model.graph.output} else wrong

    found = divergence.find(checked(lambda: graph_of(file, wrong, unless_shown)), taps=True)
    assert (found.kind, found.node, found.layer) == ("optimisation", softmax.name, "layer.0")


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        ("mutant:graph-residual-cut", "layer.0"),
        ("mutant:graph-scores-through-bfloat16", "layer.0"),
        ("mutant:graph-final-norm-without-weight", BEHIND),
        ("mutant:gate-by-gelu-of-tanh?export=onnx", "layer.0"),
    ],
)
def test_of_a_graph_that_is_not_the_model_the_layer_is_named(text, layer, checked, package):
    with open_candidate(text) as candidate:
        found = divergence.find(checked(lambda: candidate.load(package)), taps=True)
    assert (found.kind, found.layer, found.node) == ("graph", layer, "")
    assert found.text.startswith("every operator computes what the graph asks: the graph differs")
    assert f"in {layer}" in found.text


def test_an_export_fault_of_the_second_layer_is_found_there(checked, file, tmp_path):
    model = onnx.load(file)
    (head,) = [n for n in model.graph.node if n.output[0] == "layer.1"]
    head.op_type = "Sub"
    onnx.save(model, tmp_path / "model.onnx")
    found = divergence.find(checked(lambda: graph_of(tmp_path / "model.onnx")), taps=True)
    assert (found.kind, found.layer) == ("graph", "layer.1")


HONEST = (
    "onnxruntime?threads=1",
    "onnxruntime?threads=1&optimization=disable",
    "onnx_reference",
)


@pytest.mark.parametrize("text", HONEST)
def test_of_an_honest_runtime_nothing_is_said_and_each_operator_is_judged_right(
    text, checked, package
):
    with open_candidate(text) as candidate:
        model = checked(lambda: candidate.load(package))
        assert divergence.find(model, taps=True) is None
        inspection = divergence._Inspection(model)
        shown = inspection._showing(inspection._graph.nodes)
        seen = inspection._walk(shown, until=float("inf"))
    assert seen.first is None
    assert seen.judged == len(inspection._graph.nodes)


def test_where_operators_and_graph_are_right_their_roundings_add_up(checked, file):
    strict = dataclasses.replace(FP32, noise_rms=0.5)
    exact = dataclasses.replace(FP32, noise_rms=0.5)
    model = checked(lambda: graph_of(file), strict)
    model.__dict__["exact_BTV"] = _own_exact(model, file, exact)
    found = divergence.find(model, taps=True)
    assert (found.kind, found.layer) == ("rounding", "")
    assert found.text.endswith("and the graph is the model: their roundings add up")


def _own_exact(model, file, contract):
    """Return the logits of the graph in fp64: its constants were rounded, which costs a unit."""
    graph = Graph(file, {"float32": contract, "float64": spec.load().contracts["fp64"]})
    return graph.exact(model.candidate.feed(*model.corpus.inputs), ["logits"])["logits"]


def test_a_time_that_is_spent_is_told_and_claims_nothing_of_the_rest(checked, file, monkeypatch):
    monkeypatch.setattr(divergence, "BUDGET_S", -1.0)
    late = kernel(op_softmax.Softmax, in_bfloat16, only=1)
    found = divergence.find(checked(lambda: graph_of(file, [late])), taps=True)
    assert found.kind == "unknown"
    assert found.text.endswith("(the time was spent), and the graph is the model")


def test_operators_that_nobody_knows_are_told_and_not_taken_for_right(checked, file, tmp_path):
    model = onnx.load(file)
    for node in model.graph.node:
        node.domain = "acme" if node.op_type == "Sigmoid" else ""
    model.opset_import.append(onnx.helper.make_opsetid("acme", 1))
    onnx.save(model, tmp_path / "model.onnx")
    wrong = kernel(op_sigmoid.Sigmoid, in_float16)
    wrong.op_domain = "acme"
    runtime = functools.partial(graph_of, tmp_path / "model.onnx", [wrong], like=file)
    found = divergence.find(checked(runtime), taps=True)
    assert found.kind == "unknown"
    total = len(model.graph.node)
    assert found.text == (
        f"{total - LAYERS} of {total} operators compute what the graph asks (nothing judges "
        "acme::Sigmoid); what it asks cannot be computed in fp64"
    )


def test_of_a_graph_whose_values_would_fill_the_memory_the_layer_alone_is_named(
    checked, file, monkeypatch
):
    monkeypatch.setattr(divergence, "_MEMORY", 1 << 20)
    wrong = [kernel(op_softmax.Softmax, in_bfloat16)]
    found = divergence.find(checked(lambda: graph_of(file, wrong)), taps=True)
    assert (found.kind, found.layer) == ("layer", "layer.0")


def test_without_a_graph_the_first_layer_is_named(checked, package):
    with open_candidate("mutant:gate-by-gelu-of-tanh") as candidate:
        found = divergence.find(checked(lambda: candidate.load(package)), taps=True)
        assert (found.kind, found.layer) == ("layer", "layer.0")
        assert found.text.startswith("the first layer whose output leaves its noise is layer.0")
    with open_candidate("mutant:gate-by-gelu-of-tanh") as candidate:
        assert divergence.find(checked(lambda: candidate.load(package)), taps=False) is None


def test_an_error_behind_the_last_layer_is_placed_there(checked, package):
    with open_candidate("mutant:logits-capped") as candidate:
        found = divergence.find(checked(lambda: candidate.load(package)), taps=True)
    assert (found.kind, found.layer) == ("layer", BEHIND)
