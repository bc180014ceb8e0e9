"""What known faults answer is computed once for many candidates, and only where that is asked."""

from __future__ import annotations

import numpy as np
import pytest

from conformance import faults, models, mutants
from conformance.adapters import mutant as faulty_candidates
from conformance.adapters import pytorch
from conformance.adapters._replacing import is_in_decoder
from conformance.candidate import open_candidate
from conformance.oracles.corpus import long_corpus

CHOSEN = [mutants.all_mutants()[name] for name in ("gate-by-relu", "rope-missing")]

HONEST = 1
"""Loads of the honest candidate, which tells what faults a model comes upon at all."""


@pytest.fixture
def loaded(monkeypatch):
    """Count how often a model is loaded into torch."""
    calls = []
    load = pytorch._Candidate.load

    def counted(self, package):
        calls.append(package.name)
        return load(self, package)

    monkeypatch.setattr(pytorch._Candidate, "load", counted)
    return calls


def _effects(package):
    corpus = long_corpus(package.config["vocab_size"], 64)
    return {e.mutant.name: e.logits_BTV for e in faults.effects(package, corpus, CHOSEN)}


def test_a_run_keeps_nothing(loaded):
    package = models.suite_package("llama-mqa-tied")
    for _ in range(2):
        _effects(package)
    assert len(loaded) == 2 * (HONEST + len(CHOSEN))


def test_what_is_remembered_is_what_was_computed(loaded, tmp_path):
    package = models.suite_package("llama-mqa-tied")
    exact = _effects(package)
    with faults.remembered(tmp_path):
        first, again = _effects(package), _effects(package)
    assert len(loaded) == 2 * len(CHOSEN) + 3 * HONEST
    for name, logits_BTV in exact.items():
        assert np.array_equal(first[name], logits_BTV)
        assert np.array_equal(again[name], logits_BTV)
    assert not np.array_equal(exact["gate-by-relu"], exact["rope-missing"])


def test_what_is_looked_for_in_a_decoder_is_in_it():
    looked_for = faults.of_the_decoder()
    assert len(looked_for) > 200
    elsewhere = {m.replaces for m in looked_for if not is_in_decoder(m)}
    assert elsewhere == {"logits"}, "which a fault takes from the adapter"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama-gqa", "gpt2-learned"])
def test_what_is_not_looked_for_in_a_model_changes_nothing_of_it(name):
    package = models.suite_package(name)
    inputs = long_corpus(package.config["vocab_size"], 64).inputs
    known = faults.of_the_decoder()
    met = faulty_candidates.met(known, package, inputs)
    left_out = [mutant for mutant in known if mutant not in met]
    assert 50 < len(left_out) < 150
    honest = answer("", package, inputs)
    assert all(np.array_equal(answer(m.name, package, inputs), honest) for m in left_out)


def answer(mutant, package, inputs):
    with open_candidate(f"mutant:{mutant}?dtype=float64") as candidate:
        return candidate.load(package).logits(*inputs)


@pytest.mark.parametrize(
    "name", ["frequencies-in-bfloat16", "phases-in-bfloat16", "rope-base-of-another-family"]
)
def test_a_fault_that_makes_numbers_is_met_where_a_decoder_is_built_without_any(name):
    package = models.suite_package("llama-mha-scaled")
    corpus = long_corpus(package.config["vocab_size"], 16)
    found = [*faults.effects(package, corpus, [mutants.all_mutants()[name]])]
    assert [effect.mutant.name for effect in found] == [name]


@pytest.mark.parametrize("name", ["first-layer-repeated", "layers-swapped", "last-layer-skipped"])
def test_faults_of_layers_are_met_where_layers_are_of_two_kinds(name):
    package = models.suite_package("qwen2moe-shared")
    corpus = long_corpus(package.config["vocab_size"], 16)
    found = [*faults.effects(package, corpus, [mutants.all_mutants()[name]])]
    assert [effect.mutant.name for effect in found] == [name]
