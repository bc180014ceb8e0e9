"""The constants of a build against the tensors that it was made from: what differs is named."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conformance import constants, evidence, judge, models, spec
from conformance.candidate import open_candidate
from conformance.checked import CheckedModel
from conformance.checks import test_package as checks
from conformance.errors import Nonconformity, NotInBuild, PackageError

FP32 = spec.load().contracts["fp32"]
RNG = np.random.default_rng(0)
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"
NORM = "model.norm.weight"
WEIGHTS = {
    EMBEDDING: RNG.normal(size=(40, 12)),
    UP: RNG.normal(size=(12, 12)),
    DOWN: RNG.normal(size=(12, 12)),
    NORM: 1 + 0.1 * RNG.normal(size=12),
    HEAD: RNG.normal(size=(40, 12)),
}
WEIGHTS = {name: array.astype(np.float32) for name, array in WEIGHTS.items()}
PLACES = {EMBEDDING: "table", UP: "a", DOWN: "b", NORM: "scale", HEAD: "c"}


def build(file, *, external=False, dtype=np.float32, more=(), **changed):
    """Write a graph that reads each tensor as exporters do, with some constants changed."""
    held = {place: WEIGHTS[name].T for name, place in PLACES.items()}
    held |= {"table": WEIGHTS[EMBEDDING], **changed}
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("MatMul", ["x", "a"], ["y"]),
        helper.make_node("MatMul", ["y", "b"], ["z"]),
        helper.make_node("Mul", ["z", "scale"], ["normed"]),
        helper.make_node("MatMul", ["normed", "c"], ["logits"]),
    ]
    arrays = {name: np.ascontiguousarray(a, dtype) for name, a in {**held, **dict(more)}.items()}
    read = {name for node in nodes for name in node.input}
    others = [name for name in arrays if name not in read]
    nodes += [helper.make_node("Mul", ["z", name], [f"{name}_"]) for name in others]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    onnx.save(model, file, save_as_external_data=external, location="data", size_threshold=0)
    return file


def held(file, dtype="float32", weights=None, **named):
    return constants.held(WEIGHTS if weights is None else weights, file, dtype, **named)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("external", [False, True])
def test_a_build_of_the_same_weights_differs_in_nothing(file, external):
    found = held(build(file, external=external))
    assert found.compared == len(WEIGHTS)
    assert found.differing == {}
    assert found.unseen == ()


def test_a_build_in_a_narrower_type_has_rounded_once(file):
    assert held(build(file, dtype=np.float16), "float16").differing == {}
    bit = {"a": WEIGHTS[UP].T * np.float32(1 + 2.0**-9)}
    assert list(held(build(file, dtype=np.float16, **bit), "float16").differing) == [UP]


@pytest.mark.parametrize(
    ("change", "named", "told"),
    [
        ({"a": WEIGHTS[UP]}, UP, "a in the build is its transpose"),
        (
            {"b": WEIGHTS[DOWN].T + 0.1},
            DOWN,
            "b in the build differs in 144 of 144 numbers, by 0.1",
        ),
        ({"b": 0 * WEIGHTS[DOWN] + 1}, DOWN, "b stands in its place, and is like no tensor"),
        ({"b": WEIGHTS[UP].T}, DOWN, f"it is nowhere in the build, which has {UP} twice"),
        ({"c": WEIGHTS[EMBEDDING].T}, HEAD, f"it is nowhere in the build, which has {EMBEDDING}"),
        ({"scale": WEIGHTS[NORM] * 1.01}, NORM, "scale in the build differs in 12 of 12 numbers"),
    ],
)
def test_what_differs_is_named_with_how(file, change, named, told):
    found = held(build(file, **change))
    assert list(found.differing) == [named]
    assert found.differing[named].startswith(told)


def test_one_number_of_a_tensor_is_enough(file):
    changed = WEIGHTS[HEAD].T.copy()
    changed[3, 7] = np.nextafter(changed[3, 7], 2, dtype=np.float32)
    (text,) = held(build(file, c=changed)).differing.values()
    assert text.startswith("c in the build differs in 1 of 480 numbers")


def test_a_number_that_is_none_differs(file):
    changed = WEIGHTS[HEAD].T.copy()
    changed[3, 7] = np.nan
    assert list(held(build(file, c=changed)).differing) == [HEAD]


def test_a_tied_head_may_be_a_copy_of_the_embedding_and_nothing_else(file):
    tied = {name: array for name, array in WEIGHTS.items() if name != HEAD}
    assert held(build(file, c=WEIGHTS[EMBEDDING].T), weights=tied, tied=True).differing == {}
    apart = held(build(file), weights=tied, tied=True).differing
    assert list(apart) == ["c"]
    assert apart["c"].startswith("a constant like no tensor of the package, of the shape of")
    later = held(build(file, c=WEIGHTS[EMBEDDING].T * 1.001), weights=tied, tied=True).differing
    assert list(later) == [EMBEDDING]


def test_what_is_no_weight_is_not_taken_for_one(file):
    more = {"ones": np.ones(12), "square": np.eye(12)}
    assert held(build(file, more=more)).differing == {}


def test_norms_that_add_one_may_have_done_so(file):
    folded = held(build(file, scale=1 + WEIGHTS[NORM]), offset=1.0)
    assert (folded.compared, folded.differing) == (len(WEIGHTS), {})


def test_norms_of_the_same_numbers_are_found_by_any_of_them(file):
    twins = {**WEIGHTS, "model.layers.0.input_layernorm.weight": WEIGHTS[NORM]}
    assert held(build(file), weights=twins).unseen == ()


def test_tensors_that_were_fused_are_told_and_no_failure(file):
    fused = {**WEIGHTS, "q": np.ones((5, 12), np.float32), "k": np.ones((3, 12), np.float32)}
    found = held(build(file), weights=fused)
    assert found.unseen == ("q", "k")
    with evidence.collect() as sink:
        judge.same_tensors(found.differing, found.compared, found.unseen)
    assert "2 tensors were not compared" in sink.notes[0]
    assert sink.notes[0].endswith("(fused, folded or quantised): q, k")


def test_a_build_of_other_types_is_not_evaluated(file):
    with pytest.raises(NotInBuild, match=r"no constant of model\.onnx is like a tensor"):
        held(build(file), weights={"q": np.ones((5, 12), np.float32)})


def test_weights_out_of_the_folder_are_refused(file):
    model = onnx.load(build(file, external=True), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../data" if entry.key == "location" else entry.value
    onnx.save(model, file)
    with pytest.raises(PackageError, match="out of the build's folder"):
        held(file)


def test_another_revision_is_told_as_that():
    differing = {f"tensor {i}": "differs" for i in range(8)}
    with pytest.raises(Nonconformity) as raised:
        judge.same_tensors(differing, 9, ())
    assert "most weights differ, as those of another revision do" in str(raised.value)
    assert str(raised.value).endswith("and 4 more")


def checked(candidate, name):
    return CheckedModel(candidate.load, models.suite_package(name), None, FP32, None, None)


@pytest.mark.parametrize(
    ("mutant", "model", "check", "told"),
    [
        (
            "of-another-revision",
            "llama-mqa-tied",
            checks.test_a_build_holds_the_weights_of_its_package,
            "most weights differ, as those of another revision do",
        ),
        (
            "with-a-stale-tensor",
            "llama-mqa-tied",
            checks.test_a_build_holds_the_weights_of_its_package,
            "model.layers.0.self_attn.v_proj.weight: val_",
        ),
        (
            "head-apart-from-the-embedding",
            "llama-mqa-tied",
            checks.test_a_build_holds_the_weights_of_its_package,
            "model.embed_tokens.weight: head_of_its_own in the build differs",
        ),
        (
            "frequencies-of-the-default",
            "llama-mha-scaled",
            checks.test_a_build_holds_the_frequencies_of_its_config,
            "the scaling 'llama3' is lost",
        ),
        (
            "frequencies-of-the-default",
            "llama-mqa-tied",
            checks.test_a_build_holds_the_frequencies_of_its_config,
            "base and scaling are those of a default, 10000 and none",
        ),
    ],
)
def test_the_fault_of_a_graph_is_named(mutant, model, check, told):
    with open_candidate(f"mutant:graph-{mutant}") as candidate:
        with pytest.raises(Nonconformity) as raised:
            check(checked(candidate, model))
        assert told in str(raised.value)


def test_a_build_that_shows_no_graph_is_not_evaluated():
    with open_candidate("pytorch") as candidate:
        model = checked(candidate, "llama-mqa-tied")
        for check in (
            checks.test_a_build_holds_the_weights_of_its_package,
            checks.test_a_build_holds_the_frequencies_of_its_config,
        ):
            with pytest.raises(NotInBuild, match="it is judged by its answers alone"):
                check(model)
