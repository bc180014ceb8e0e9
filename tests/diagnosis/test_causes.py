"""What explains an answer: one fault, a number of the configuration, two faults, or symptoms."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conformance import diagnosis, models, mutants, spec
from conformance.diagnosis import logits, symptoms
from conformance.diagnosis.laboratory import Laboratory
from conformance.diagnosis.scene import Scene
from conformance.records import CaseResult, RequirementResult, Verdict

CASE = CaseResult("check/llama-mqa-tied", "LOGITS-001", Verdict.FAIL, 0.1)
FP32 = spec.load().contracts["fp32"]


@pytest.fixture(scope="module")
def bench():
    """The laboratory, the corpus, the exact logits and the noise of a small model."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    package = models.suite_package("llama-mqa-tied")
    corpus = models.frozen_corpus(package)
    exact_NV = models.oracle(package, FP32).logits(*corpus.inputs)[corpus.judged_BT]
    yield Laboratory(package, corpus), corpus, exact_NV, models.noise(package, FP32).unit.rms
    torch.set_num_threads(threads)


def scene_of(bench, observed_NV):
    _, _, exact_NV, unit = bench
    return Scene(observed_NV.astype(np.float32).astype(np.float64), exact_NV, unit, 3.0)


@pytest.mark.parametrize(
    ("name", "honest", "value"),
    [("rope.theta", 500000.0, 505000.0), ("norm.eps", 1e-6, 3e-6), ("norm.eps", 1e-6, 1e-4)],
)
def test_a_number_of_the_configuration_is_estimated(bench, name, honest, value):
    laboratory = bench[0]
    assert laboratory.parameters()[name] == honest
    found = logits._parameter(
        scene_of(bench, laboratory.with_parameter(name, value)), laboratory, CASE
    )
    assert found.causes == (f"parameter-{name}",)
    told = float(found.text.split(f"{name} ")[1].split()[0])
    assert told == pytest.approx(value, rel=1e-3)
    assert f"in place of {honest:.6g}" in found.text


def test_two_faults_at_once_are_named_together(bench):
    laboratory = bench[0]
    one, other = (
        mutants.all_mutants()[name]
        for name in ("gate-by-gelu-of-tanh", "attention-scale-of-one-more")
    )
    scene = scene_of(bench, laboratory.with_both(one, other))
    known = logits.measured(scene, laboratory.effects())
    assert logits.nearest(scene, known) == []
    found = logits._two_faults(scene, laboratory, known, CASE)
    assert set(found.causes) == {one.name, other.name}
    assert found.distance < 1


def test_every_fault_can_be_tried_on_a_model_of_one_layer(tiny):
    package = models.open_package(tiny)
    found = {
        mutant.name for mutant, _ in Laboratory(package, models.frozen_corpus(package)).effects()
    }
    assert "rope-pairs-interleaved" in found


def test_an_error_in_the_search_costs_the_diagnosis_and_not_the_report(monkeypatch, capsys):
    def breaks(*_):
        raise KeyError("a mutant's own mistake")

    monkeypatch.setattr(logits, "diagnose", breaks)
    failed = dataclasses.replace(CASE, id="check/model")
    result = RequirementResult(spec.load().requirements["LOGITS-001"], Verdict.FAIL, (failed,))
    subject = SimpleNamespace(models={"model": None})
    assert diagnosis.diagnose(subject, [result], Path()) == ()
    told = capsys.readouterr().err
    assert told.startswith('note: no diagnosis of check/model: KeyError: "a mutant\'s own mistake"')


def test_a_fault_is_named_with_its_sentence(bench):
    laboratory = bench[0]
    known = list(laboratory.effects())
    mutant, logits_NV = next((m, y) for m, y in known if m.name == "rope-pairs-interleaved")
    scene = scene_of(bench, logits_NV)
    found = logits._one_fault(scene, logits.measured(scene, known), CASE)
    assert found.causes[0] == mutant.name
    assert mutant.summary in found.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y: y * 1.02, "the exact ones times 1.02"),
        (lambda y: np.where(np.arange(len(y))[:, None] < 60, y + 1.0 * (y > 0), y), "row 0"),
        (lambda y: y + 0.5 * (np.arange(y.shape[1]) == 17), "1 of 512 vocabulary entries"),
    ],
)
def test_an_error_that_nothing_explains_is_described(bench, change, words):
    _, corpus, exact_NV, _ = bench
    scene = scene_of(bench, change(exact_NV))
    assert words in symptoms.of_logits(scene, corpus, {"fp32": 1e-9})


def test_the_type_of_an_error_is_told(bench):
    _, corpus, exact_NV, _ = bench
    rng = np.random.default_rng(3)
    scene = scene_of(bench, exact_NV + 0.07 * rng.normal(size=exact_NV.shape))
    told = symptoms.of_logits(scene, corpus, {"fp16": 0.009, "bf16": 0.07})
    assert "as if all were computed in bf16" in told
    assert "fp16" not in told


def test_what_is_not_finite_is_placed(bench):
    _, corpus, _, _ = bench
    answer = np.zeros((*corpus.input_ids_BT.shape, 8))
    answer[2, 20] = np.nan
    told = symptoms.not_finite(answer, corpus)
    assert "in rows 2 of the batch" in told
    assert "padded" in told


def test_on_a_large_model_no_fault_is_tried_and_the_error_is_described(bench, monkeypatch):
    _, corpus, exact_NV, rms = bench
    exact_BTV = np.zeros((*corpus.judged_BT.shape, exact_NV.shape[1]))
    exact_BTV[corpus.judged_BT] = exact_NV
    model = SimpleNamespace(
        corpus=corpus,
        contract=FP32,
        exact_BTV=exact_BTV,
        answer_BTV=exact_BTV * 1.02,
        noise=SimpleNamespace(rms=rms),
        package=models.suite_package("llama-mqa-tied"),
    )
    monkeypatch.setattr(logits, "_LARGEST", 1000)
    monkeypatch.setattr(logits, "Laboratory", None)  # nobody may ask it
    found = logits.diagnose(model, CASE)
    assert found.causes == ()
    assert found.text.startswith("known faults were not tried, since the model is large (")
    assert "PKG-002 and PKG-003 compare an ONNX build" in found.text
    assert "the exact ones times 1.02" in found.text
