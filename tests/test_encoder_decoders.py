"""Encoder-decoders in a run: their packages, what is asked of a candidate, what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conformance import candidate as candidates
from conformance import encoder_decoders, evidence, models, spec
from conformance.adapters._onnx_encoder_decoder import Graph, GraphEncoderDecoder
from conformance.adapters._onnx_model import Input
from conformance.errors import (
    CandidateRaised,
    FormatError,
    MalformedOutput,
    NotInBuild,
    PackageError,
    Unsupported,
    UsageError,
)
from conformance.oracles.encoder_decoder.transformer.model import sinusoids
from conformance.selection import Selection
from conformance.subject import open_subject
from conformance.worker import isolated

SOURCE = np.array([[5, 6, 7, 8], [1, 2, 3, 4]])
TARGET = np.array([[3, 9, 1], [3, 2, 2]])
FP32 = spec.load().contracts["fp32"]
SHARED, HEAD = "shared.weight", "lm_head.weight"


@pytest.fixture(scope="module")
def package():
    return models.suite_package("t5-gated-untied")


@pytest.fixture
def folder(package, tmp_path):
    return shutil.copytree(package.path, tmp_path / "t5")


def change(folder, edit=lambda _: None, **keys):
    """Change the tensors and the config of a folder."""
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | keys))
    return folder


class Answering:
    """A candidate's encoder-decoder whose answer is changed; without sessions."""

    def __init__(self, package, edit):
        self._exact, self._edit = encoder_decoders.oracle(package, FP32), edit

    def decode_tokens(self, *inputs):
        exact = self._exact.decode(*inputs)
        return self._edit({name: x.astype(np.float32) for name, x in exact.items()})


def checked(package, edit=lambda answer: answer):
    return encoder_decoders.checked(lambda _: Answering(package, edit), package, FP32)


def test_a_head_of_its_own_is_read_as_transformers_5_writes_it(folder, package):
    change(folder, tie_word_embeddings=True, scale_decoder_outputs=False)
    again = models.open_package(folder)
    assert list(again.weights()) == list(package.weights())
    one, other = (checked(each).decode(SOURCE, None, TARGET) for each in (package, again))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_repeated_matrix_has_to_be_the_embedding(folder):
    again = "decoder.embed_tokens.weight"
    models.open_package(change(folder, lambda x: x.update({again: x[SHARED].copy()})))
    change(folder, lambda x: x.update({again: x[SHARED] + 1}))
    with pytest.raises(PackageError, match=f"{again} differs from {SHARED}"):
        models.open_package(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda x: x.pop(HEAD), "missing: lm_head.weight"),
        (lambda x: x.update(other=x[HEAD].copy()), "not expected: other"),
    ],
)
def test_tensors_that_are_not_the_configs_are_refused(folder, edit, message):
    with pytest.raises(PackageError, match=message):
        models.open_package(change(folder, edit))


def test_a_config_that_computes_something_else_is_refused(folder):
    with pytest.raises(FormatError, match="/feed_forward_proj"):
        models.open_package(change(folder, feed_forward_proj="silu"))


def test_stored_sinusoids_have_to_be_those_of_the_formula(tmp_path):
    source = models.suite_package("transformer-sinusoidal")
    name = "model.decoder.embed_positions.weight"
    table = sinusoids(160, 48).astype(np.float32)
    folder = shutil.copytree(source.path, tmp_path / "marian")
    opened = models.open_package(change(folder, lambda x: x.update({name: table})))
    assert list(opened.weights()) == list(source.weights())
    for wrong in (table[:-1].copy(), np.roll(table, 24, axis=1)):
        change(folder, lambda x, wrong=wrong: x.update({name: wrong}))
        with pytest.raises(PackageError, match=rf"{name} is not the table .*\[160, 48\]"):
            models.open_package(folder)


def test_rows_have_a_length_and_what_is_not_reached_by_them_is_told(package):
    model = checked(package)
    with evidence.collect() as sink:
        assert model.corpus("long").inputs[0].shape == (2, model.reach)
        assert sink.notes == []
        model.reach = 5000
        assert model.corpus("near").inputs[0].shape == (6, 48)
        assert sink.notes == []
        source_BS, _, target_BT = model.corpus("long").inputs
    assert source_BS.shape == target_BT.shape == (2, 2048)
    assert "over 5000 tokens; its rows have 2048" in sink.notes[0]


def test_of_absolute_places_nothing_is_asked_that_only_distances_have(package):
    assert checked(package).of_distances().vocab == 256
    with pytest.raises(NotInBuild, match="transformer-sinusoidal adds the place of a token"):
        checked(models.suite_package("transformer-sinusoidal")).of_distances()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda _: [], "decode_tokens answered list; wanted a dict with encoder_last_hidden_state"),
        (lambda a: {"logits": a["logits"]}, "answered .*'logits'.*; wanted a dict with"),
        (lambda a: a | {"logits": a["logits"][:, :1]}, r"logits has shape \[2, 1, 256\]"),
        (lambda a: {n: x.astype(np.float64) for n, x in a.items()}, "claimed type is float32"),
    ],
)
def test_an_answer_of_another_form_is_told(package, edit, message):
    with pytest.raises(MalformedOutput, match=message):
        checked(package, edit).decode(SOURCE, None, TARGET)


def test_a_claimed_session_that_is_not_there_is_told(package):
    message = "claims 'target_cache', but its Answering has no method start_target"
    with pytest.raises(CandidateRaised, match=message):
        checked(package).start(SOURCE)


def test_an_encoder_decoder_answers_the_same_in_a_process_of_its_own(package):
    ones = np.ones_like(SOURCE)

    def asked(candidate):
        model = candidate.load(package)
        session = model.start_target(SOURCE, ones)
        steps = [session.append_target(TARGET[:, :2])]
        session.reorder_target([1, 0, 1])
        steps.append(session.append_target(TARGET[[1, 0, 1], 2:]))
        return [*model.decode_tokens(SOURCE, ones, TARGET).values(), *steps]

    with candidates.open_candidate("reference") as here, isolated("reference") as there:
        assert all(map(np.array_equal, asked(here), asked(there)))


def test_noise_units_are_kept_and_what_was_damaged_is_measured_again(
    package, tmp_path, monkeypatch
):
    monkeypatch.setenv(models.CACHE_VARIABLE, str(tmp_path))
    first = encoder_decoders.noise(package, FP32)
    (file,) = (tmp_path / "noise").iterdir()
    assert encoder_decoders.noise(package, FP32) == first
    file.write_text("{}", encoding="utf-8")
    assert encoder_decoders.noise(package, FP32) == first


@pytest.mark.parametrize(
    ("profile", "name", "message"),
    [
        ("release", "t5-tied-relu", "holds an encoder-decoder, and profile release judges decod"),
        ("encoder", "t5-tied-relu", r"judges encoders: .* \(encoder-decoder\)"),
        ("encoder-decoder", "bert-three-types", "holds an encoder, and .* judges encoder-decoders"),
    ],
)
def test_a_profile_of_other_models_is_refused(profile, name, message):
    folder = str(models.suite_package(name).path)
    selection = Selection(candidate="reference", profile=profile, model=(folder,))
    opening = open_subject(selection, spec.load(), spec.load().profiles[profile])
    with pytest.raises(UsageError, match=message), opening:
        pass


def test_a_session_of_graphs_hands_on_the_keys_of_both_sides():
    """What is fed and answered, by name, in a session whose graphs count what they are given."""
    fed = []

    def step(names, feed):
        fed.append({name: array.shape for name, array in feed.items()})
        past, own = feed["past_key_values.0.decoder.key"], feed["input_ids"]
        grown = np.concatenate([past, np.ones((*past.shape[:2], own.shape[1], 4))], axis=2)
        return [{"logits": own, "present.0.decoder.key": grown}[name] for name in names]

    def encode(names, feed):
        return [np.zeros((len(feed["input_ids"]), 2, 5, 4))] * len(names)

    declared = Input(("batch", 2, "past", 4), np.float32)
    names = ("past_key_values.0.decoder.key", "past_key_values.0.encoder.key")
    given = {"input_ids": None, "encoder_attention_mask": None, **dict.fromkeys(names, declared)}
    parts = (
        Graph(encode, {}, ["present.0.encoder.key"]),
        Graph(step, given, ["logits", "present.0.decoder.key"]),
    )
    inputs = ["input_ids", "attention_mask", "decoder_input_ids"]
    outputs = ["logits", "encoder_last_hidden_state"]
    session = GraphEncoderDecoder(None, inputs, outputs, lambda: parts).start_target(SOURCE, SOURCE)
    session.append_target(TARGET[:, :2])
    session.reorder_target([1, 0, 1])
    session.append_target(TARGET[[1, 0, 1], 2:])
    assert [shapes[names[0]] for shapes in fed] == [(2, 2, 0, 4), (3, 2, 2, 4)]
    assert [shapes[names[1]] for shapes in fed] == [(2, 2, 5, 4), (3, 2, 5, 4)]
    assert [shapes["encoder_attention_mask"] for shapes in fed] == [(2, 4), (3, 4)]


def test_a_graph_is_matched_by_the_names_of_exporters():
    def run(names, feed):
        return [np.array([len(feed)])] * len(names)

    inputs = ["input_ids", "attention_mask", "decoder_input_ids"]
    outputs = ["logits", "encoder_last_hidden_state"]
    graph = GraphEncoderDecoder(run, inputs, outputs)
    assert set(graph.decode_tokens(SOURCE, SOURCE, TARGET)) == set(outputs)
    parts = (Graph(run, {}, ["present.0.encoder.key"]), Graph(run, {"input_ids": None}, ["logits"]))
    steps = GraphEncoderDecoder(run, inputs, outputs, lambda: parts)
    with pytest.raises(
        Unsupported, match=r"has the inputs input_ids, and encoder_model\.onnx the out"
    ):
        steps.start_target(SOURCE, SOURCE)
    with pytest.raises(Unsupported, match="has the inputs input_ids and the outputs logits"):
        GraphEncoderDecoder(run, ["input_ids"], ["logits"])
