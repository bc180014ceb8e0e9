"""A release whose graph somebody else has made: its layers are found, or it is said that not."""

from __future__ import annotations

import shutil

import onnx
import pytest

from reference_model.export import write_onnx

pytestmark = pytest.mark.slow


@pytest.fixture
def release(tiny, tmp_path):
    """Write the tiny model as a release, with a graph that ``change`` has seen."""

    def written(change):
        folder = tmp_path / "release"
        shutil.copytree(tiny, folder)
        write_onnx(folder, folder / "model.onnx")
        model = onnx.load(folder / "model.onnx")
        change(model)
        onnx.save(model, folder / "model.onnx")
        return folder

    return written


def renamed(model):
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["add_7" if name == "layer.0" else name for name in names]


def in_other_words(model):
    renamed(model)
    for node in model.graph.node:
        node.op_type = "Sum" if "add_7" in node.output else node.op_type


def run(llm, folder):
    words = ("--candidate", "onnxruntime?threads=1", "--model", folder, "--only", "TAP-001")
    ended = llm("run", *words)
    (row,) = [r for r in ended.report["requirements"] if r["id"] == "TAP-001"]
    return ended, row


def test_layers_of_a_graph_without_names_are_judged(llm, release):
    _, row = run(llm, release(renamed))
    assert row["verdict"] == "PASS"
    assert row["cases"][0]["measurements"][0]["count"] > 1000


def test_a_graph_that_shows_no_layers_is_not_failed_and_not_passed(llm, release):
    ended, row = run(llm, release(in_other_words))
    assert row["verdict"] == "NOT_APPLICABLE"
    assert "not found in model.onnx" in row["reason"]
    assert "no sum is certain" in ended.out
    assert ended.report["outcome"] == "incomplete"
    assert ended.report["counts"]["PASS"] == 0


@pytest.mark.parametrize("isolation", [[], ["--isolate"]])
def test_where_an_exports_fault_begins_is_told_in_the_record_and_to_the_reader(
    isolation, llm, tiny
):
    words = ("--candidate", "mutant:graph-residual-cut", "--model", tiny, "--only", "LOGITS-001")
    ended = llm("run", *words, *isolation)
    (found,) = ended.report["diagnoses"]
    assert (found["divergence"]["kind"], found["divergence"]["layer"]) == ("graph", "layer.0")
    told = "every operator computes what the graph asks: the graph differs from the model"
    assert found["divergence"]["text"].startswith(told)
    assert f"begins: {told}" in ended.out
    assert told in (ended.folder / "report.html").read_text(encoding="utf-8")
