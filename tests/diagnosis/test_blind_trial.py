"""Blind trial: every mutant of the decoder, anonymous, and whether its fault is named first."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from conformance import faults, models, spec
from conformance.candidate import open_candidate
from conformance.checked import CheckedModel, RememberedOracle
from conformance.diagnosis.logits import foremost, measured, nearest
from conformance.diagnosis.scene import Scene
from conformance.errors import MalformedOutput

NAME = "llama-gqa"
HONEST = ("pytorch", "transformers:eager", "transformers:sdpa", "onnxruntime?threads=1")
TYPES = {"fp32": "float32", "bf16": "bfloat16"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model_of(text, package):
    with open_candidate(text) as candidate:
        contract = spec.contract_of(spec.load(), candidate.info.claims)
        return CheckedModel(
            load=candidate.load,
            package=package,
            oracle=ORACLES.setdefault(contract, RememberedOracle(models.oracle(package, contract))),
            contract=contract,
            measure_noise=functools.partial(models.noise, package, contract),
            measure_types=functools.partial(models.type_noise, package, contract),
        )


ORACLES = {}


def scene_of(model):
    judged = model.corpus.judged_BT
    answer = model.answer_BTV[judged].astype(np.float64)
    return Scene(answer, model.exact_BTV[judged], model.noise.rms, model.contract.noise_rms)


@functools.cache
def effects(precision):
    package = models.suite_package(NAME)
    contract = spec.load().contracts[precision]
    exact = models.rounded(package, contract.weight)
    corpus = models.frozen_corpus(package)
    return [(e.mutant, e.logits_BTV[corpus.judged_BT]) for e in faults.effects(exact, corpus)]


def named_first(scene, known):
    known = measured(scene, known)
    return {one.mutant.name for one in nearest(scene, known) or foremost(scene, known)}


def trial(precision):
    """Return, for each fault that fails, whether its name is in the set that is named first."""
    package = models.suite_package(NAME)
    told = {}
    for mutant, _ in effects(precision):
        model = model_of(f"mutant:{mutant.name}?dtype={TYPES[precision]}", package)
        try:
            scene = scene_of(model)
        except MalformedOutput:
            continue  # another check's matter
        if scene.distance(scene.exact_NV) > scene.limit and np.isfinite(scene.observed_NV).all():
            told[mutant.name] = named_first(scene, effects(precision))
    return told


@pytest.mark.parametrize(("precision", "share"), [("fp32", 0.95), ("bf16", 0.8)])
def test_the_right_fault_is_named_first_or_among_those_that_cannot_be_told_from_it(
    precision, share
):
    told = trial(precision)
    right = [name for name, found in told.items() if name in found]
    wrong = {name: sorted(found) for name, found in told.items() if name not in found}
    assert len(told) >= 50
    assert len(right) >= share * len(told), wrong
    sizes = [len(told[name]) for name in right]
    assert np.median(sizes) == 1, "most faults are named alone"


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_candidate_is_near_to_the_exact_model_and_to_no_fault(text):
    scene = scene_of(model_of(text, models.suite_package(NAME)))
    assert scene.distance(scene.exact_NV) <= scene.limit
    assert not [k.mutant.name for k in measured(scene, effects("fp32")) if real(k, scene)]


def real(known, scene):
    """Return whether a fault is near though it does something on this model."""
    does = np.sqrt(np.mean((known.logits_NV - scene.exact_NV) ** 2)) > 0.01 * scene.unit
    return does and known.distance <= scene.limit
