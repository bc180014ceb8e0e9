"""The kill matrix that is quoted is one of these mutants and these requirements."""

from __future__ import annotations

import json

import pytest

from conformance import explanation, mutants, proof, spec

SPEC = spec.load()
STALE = (
    "the kept kill matrix lacks what is new: run `llm-conformance selftest --new`, then `make docs`"
)
PARTS = {part["precision"]: part for part in proof.kept()["precisions"]}


def test_the_kept_matrix_has_every_mutant_and_every_requirement():
    graphs = {name for name, m in mutants.all_mutants().items() if m.replaces == "graph"}
    everything = set(mutants.all_mutants())
    assert set(PARTS) == {"fp32", "fp16", "bf16"}, STALE
    for precision, part in PARTS.items():
        wanted = everything if precision == "fp32" else everything - graphs
        assert set(part["mutants"]) == wanted, STALE
        assert {row["id"] for row in part["requirements"]} == set(SPEC.requirements), STALE


@pytest.mark.parametrize("precision", PARTS)
def test_the_kept_matrix_has_no_survivor_but_those_that_are_known_to_survive(precision):
    part = PARTS[precision]
    known = {name for name, mutant in mutants.all_mutants().items() if mutant.survives}
    assert {name for name, fate in part["mutants"].items() if fate == "survived"} <= known
    assert part["score"]["killed"] == list(part["mutants"].values()).count("killed")


def test_the_kept_matrix_notices_a_fault_by_every_requirement_at_fp32():
    for name in SPEC.requirements:
        assert [least for least in proof.noticed(name) if least.precision == "fp32"], name


def test_a_requirement_is_explained_with_the_smallest_fault_that_it_notices():
    least = proof.noticed("LOGITS-001")[0]
    told = " ".join(explanation.render(SPEC.requirements["LOGITS-001"]).split())
    assert f"notices {least}" in told
    assert least.mutant in mutants.all_mutants()


def test_a_report_quotes_the_score():
    quoted = proof.quoted()
    score = PARTS["fp32"]["score"]
    assert f"fp32: {score['killed']} of {score['of']} mutants killed" in quoted["kill_matrix"]
    assert json.dumps(quoted)
