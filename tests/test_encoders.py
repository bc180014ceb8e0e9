"""Encoders in a run: their packages, what is asked of a candidate, what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conformance import candidate as candidates
from conformance import encoders, models, spec
from conformance.adapters._onnx_encoder import GraphEncoder
from conformance.errors import (
    FormatError,
    MalformedOutput,
    NotInBuild,
    PackageError,
    Unsupported,
    UsageError,
)
from conformance.selection import Selection
from conformance.subject import open_subject
from conformance.worker import isolated

IDS = np.array([[5, 6, 7, 8], [1, 2, 3, 4]])
FP32 = spec.load().contracts["fp32"]


@pytest.fixture(scope="module")
def package():
    return models.suite_package("bert-three-types")


@pytest.fixture
def folder(package, tmp_path):
    return shutil.copytree(package.path, tmp_path / "bert")


def change(folder, edit):
    """Change the tensors of a folder."""
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


class Answering:
    """A candidate's encoder whose answer is changed."""

    def __init__(self, package, edit):
        self._exact, self._edit = encoders.oracle(package, FP32), edit

    def encode_tokens(self, *inputs):
        exact = self._exact.encode(*inputs)
        return self._edit({name: x.astype(np.float32) for name, x in exact.items()})


def checked(package, edit=lambda answer: answer):
    return encoders.checked(lambda _: Answering(package, edit), package, FP32)


def test_names_of_an_encoders_trunk_go_by_those_of_the_whole(folder, package):
    def bare(tensors):
        for name in tuple(tensors):
            array = tensors.pop(name)
            if not name.startswith("cls."):
                tensors[name.removeprefix("bert.")] = array

    opened = models.open_package(change(folder, bare))
    assert set(opened.weights()) == {n for n in package.weights() if not n.startswith("cls.")}
    judged = checked(opened)
    assert judged.outputs == ("last_hidden_state", "pooler_output")
    assert set(judged.encode(IDS)) == set(judged.outputs)
    with pytest.raises(NotInBuild, match="bert has no tensors that make a logits"):
        judged.having("logits")


def test_a_repeated_matrix_has_to_be_the_word_embedding(folder):
    words, again = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
    models.open_package(change(folder, lambda x: x.update({again: x[words]})))
    change(folder, lambda x: x.update({again: x[words] + 1}))
    with pytest.raises(PackageError, match=f"{again} differs from {words}"):
        models.open_package(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda x: x.pop("bert.pooler.dense.bias"), "missing: bert.pooler.dense.bias"),
        (lambda x: x.update(other=x["cls.predictions.bias"]), "not expected: .other"),
    ],
)
def test_tensors_that_are_not_the_configs_are_refused(folder, edit, message):
    with pytest.raises(PackageError, match=message):
        models.open_package(change(folder, edit))


def test_a_config_that_computes_something_else_is_refused(folder):
    file = folder / "config.json"
    document = json.loads(file.read_text(encoding="utf-8")) | {"hidden_act": "gelu_new"}
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(FormatError, match="/hidden_act"):
        models.open_package(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda _: [], "encode_tokens answered list; wanted a dict with last_hidden_state"),
        (
            lambda a: {n: a[n] for n in a if n != "logits"},
            "wanted a dict .* which the model's tensors",
        ),
        (lambda a: a | {"logits": a["logits"][:, :1]}, r"logits has shape \[2, 1, 384\]"),
        (lambda a: a | {"pooler_output": a["pooler_output"][None]}, r"pooler_output .*\(batch, w"),
        (lambda a: {n: x.astype(np.float64) for n, x in a.items()}, "claimed type is float32"),
    ],
)
def test_an_answer_of_another_form_is_told(package, edit, message):
    with pytest.raises(MalformedOutput, match=message):
        checked(package, edit).encode(IDS)


def test_types_are_zero_and_nothing_is_hidden_unless_it_is_said(package):
    judged, ones = checked(package), np.ones_like(IDS)
    plain, said = judged.encode(IDS), judged.encode(IDS, ones, 0 * ones)
    assert all(np.array_equal(plain[name], said[name]) for name in judged.outputs)


def test_an_encoder_answers_the_same_in_a_process_of_its_own(package):
    ones = np.ones_like(IDS)
    with candidates.open_candidate("reference") as here, isolated("reference") as there:
        one, other = (c.load(package).encode_tokens(IDS, ones, ones) for c in (here, there))
    assert list(one) == list(other)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_noise_units_are_kept_and_what_was_damaged_is_measured_again(
    package, tmp_path, monkeypatch
):
    monkeypatch.setenv(models.CACHE_VARIABLE, str(tmp_path))
    first = encoders.noise(package, FP32)
    (file,) = (tmp_path / "noise").iterdir()
    assert encoders.noise(package, FP32) == first
    file.write_text("{}", encoding="utf-8")
    assert encoders.noise(package, FP32) == first


@pytest.mark.parametrize(
    ("profile", "name", "message"),
    [
        ("release", "bert-three-types", "holds an encoder, and profile release judges decoders"),
        ("encoder", "llama-mqa-tied", "holds a decoder, and profile encoder judges encoders"),
    ],
)
def test_a_profile_of_other_models_is_refused(profile, name, message):
    folder = str(models.suite_package(name).path)
    selection = Selection(candidate="reference", profile=profile, model=(folder,))
    opening = open_subject(selection, spec.load(), spec.load().profiles[profile])
    with pytest.raises(UsageError, match=message), opening:
        pass


def test_a_graph_is_matched_by_the_names_of_exporters():
    def run(names, feed):
        return [np.array([len(feed)])] * len(names)

    graph = GraphEncoder(run, ["input_ids", "attention_mask"], ["logits", "last_hidden_state"])
    assert graph.encode_tokens(IDS, IDS, IDS) == {"last_hidden_state": [2], "logits": [2]}
    with pytest.raises(Unsupported, match="position_ids"):
        GraphEncoder(run, ["position_ids"], ["logits"])
    with pytest.raises(Unsupported, match="none of the outputs"):
        GraphEncoder(run, ["input_ids"], ["sentence_embedding"])
