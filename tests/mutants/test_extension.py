"""The kept summary takes in new mutants and new requirements, and leaves the rest as it was."""

from __future__ import annotations

import copy

import pytest

from conformance import mutants, proof, schema
from conformance.matrix import Row, extension, runs, touched
from conformance.matrix.cells import Cell
from conformance.records import Measurement, Verdict

IDS = tuple(row["id"] for row in proof.kept()["precisions"][0]["requirements"])
"""What was measured; whether that is all there is, test_proof tells."""
FAINT, PLAIN = "rope-base-10001", "scale-missing"
NAMING = next(n for n, m in mutants.all_mutants().items() if "ATTN-002" in m.kills)
KILLS = "ROPE-001"


def cell(verdict, observed, requirement=KILLS):
    measured = Measurement(
        metric="error", observed=observed, limit=1.0, unit="bound", count=1, where=""
    )
    return Cell(requirement, verdict, measured, "", "test_it")


def row(name, *cells):
    return Row(name, mutants.all_mutants().get(name), cells)


@pytest.fixture
def kept():
    """The kept summary without one mutant and one requirement, as it was before they came."""
    found = copy.deepcopy(proof.kept()) | {"sources": touched.sources()}
    for part in found["precisions"]:
        part["mutants"].pop(FAINT)
        part["score"] = {name: number - 1 for name, number in part["score"].items()}
        part["requirements"] = [r for r in part["requirements"] if r["id"] != "ATTN-002"]
    return found


def fp32(summary):
    return next(part for part in summary["precisions"] if part["precision"] == "fp32")


def noticed(summary, requirement):
    return next(r for r in fp32(summary)["requirements"] if r["id"] == requirement)


def test_what_the_summary_lacks_is_what_came_since(kept):
    now = touched.sources()
    whole = extension.missing(fp32(proof.kept()), IDS, now)
    lacking = extension.missing(fp32(kept), IDS, now)
    assert lacking.touched == ()
    assert set(lacking.mutants) == {FAINT, *whole.mutants}
    assert (lacking.requirements, whole.requirements) == (("ATTN-002",), ())


def test_a_new_mutant_counts_and_an_old_requirement_kills_one_more(kept):
    new = row(FAINT, cell(Verdict.FAIL, 1.001))
    before = noticed(kept, KILLS)
    found = extension.extended(kept, {"fp32": [new]}, IDS)
    assert fp32(found)["mutants"][FAINT] == "killed"
    assert fp32(found)["score"]["of"] == fp32(kept)["score"]["of"] + 1
    after = noticed(found, KILLS)
    assert after["kills"] == before["kills"] + 1
    assert after["smallest"]["mutant"] == FAINT
    larger = extension.extended(kept, {"fp32": [row(FAINT, cell(Verdict.FAIL, 1e9))]}, IDS)
    assert noticed(larger, KILLS)["smallest"] == before["smallest"]


def test_a_new_requirement_changes_no_fate_but_of_what_lived(kept):
    old = row(PLAIN, cell(Verdict.PASS, 0.5, "ATTN-002"))
    found = extension.extended(kept, {"fp32": [old]}, IDS)
    assert fp32(found)["mutants"][PLAIN] == "killed"
    assert noticed(found, "ATTN-002")["kills"] == 0
    fp32(kept)["mutants"][PLAIN] = "survived"
    killed = row(PLAIN, cell(Verdict.FAIL, 2.0, "ATTN-002"))
    assert fp32(extension.extended(kept, {"fp32": [killed]}, IDS))["mutants"][PLAIN] == "killed"


def test_requirements_stand_in_the_standards_order_and_what_is_gone_is_gone(kept):
    fp32(kept)["mutants"]["fault-that-was"] = "killed"
    new = row(FAINT, cell(Verdict.FAIL, 2.0, "ATTN-002"))
    found = extension.extended(kept, {"fp32": [new]}, IDS)
    assert [r["id"] for r in fp32(found)["requirements"]] == list(IDS)
    assert "fault-that-was" not in fp32(found)["mutants"]


@pytest.fixture
def summary(monkeypatch, tmp_path, kept):
    """The kept summary in a file of its own, and what was tried of each task."""
    file = tmp_path / "summary.json"
    monkeypatch.setattr(proof, "FILE", file)
    monkeypatch.setattr(proof, "kept", lambda: kept)
    return file


def playing(monkeypatch, verdict):
    def rows(*, halves, only=None, without=(), **_):
        if halves == ["decoder"] and FAINT in only and not without:
            yield row(
                FAINT, *(cell(verdict, 2.0, name) for name in mutants.all_mutants()[FAINT].kills)
            )

    monkeypatch.setattr(runs.matrix, "rows", rows)


def test_what_is_new_is_tried_and_kept(monkeypatch, summary):
    playing(monkeypatch, Verdict.FAIL)
    assert runs.extend().passed
    assert FAINT in fp32(schema.load(summary))["mutants"]


def test_a_new_mutant_that_lives_is_told_and_goes_on_lacking(monkeypatch, summary):
    playing(monkeypatch, Verdict.PASS)
    trial = runs.extend()
    assert not trial.passed
    assert f"fp32: survived: {FAINT}" in trial.lines
    assert FAINT not in fp32(schema.load(summary))["mutants"]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (Row("mutant", None, (cell(Verdict.FAIL, 2.0, "ATTN-002"),)), "mutant: ATTN-002 FAIL"),
        (row(NAMING, cell(Verdict.PASS, 0.5, "ATTN-002")), f"not caught: {NAMING} by ATTN-002"),
    ],
)
def test_a_new_requirement_that_is_wrong_is_told_and_goes_on_lacking(
    monkeypatch, summary, before, told
):
    def rows(*, halves, precision, only=None, without=(), **_):
        if halves == ["decoder"] and precision == "fp32" and without:
            yield before
        elif FAINT in only and halves == ["decoder"]:
            yield row(
                FAINT, *(cell(Verdict.FAIL, 2.0, i) for i in mutants.all_mutants()[FAINT].kills)
            )

    monkeypatch.setattr(runs.matrix, "rows", rows)
    trial = runs.extend()
    assert not trial.passed
    assert any(line.startswith(f"fp32: {told}") for line in trial.lines)
    kept_now = fp32(schema.load(summary))
    assert FAINT in kept_now["mutants"], "what is right is kept"
    assert "ATTN-002" not in [one["id"] for one in kept_now["requirements"]]


def test_a_new_mutant_whose_kill_is_a_wrong_requirements_waits_with_it(monkeypatch, summary):
    """Without it the mutant would have survived, and nobody has seen that."""
    named = mutants.all_mutants()[FAINT].kills
    right, wrong = named[0], "ATTN-002"
    of_mutant = row(FAINT, cell(Verdict.PASS, 0.5, right), cell(Verdict.FAIL, 2.0, wrong))
    of_honest = Row("mutant", None, (cell(Verdict.FAIL, 2.0, wrong),))

    def rows(*, halves, precision, without=(), **_):
        if halves == ["decoder"] and precision == "bf16":
            yield of_honest if without else of_mutant

    for part in proof.kept()["precisions"]:
        if part["precision"] == "bf16":
            part["mutants"].pop(FAINT, None)
            part["requirements"] = [r for r in part["requirements"] if r["id"] != wrong]
    monkeypatch.setattr(runs.matrix, "rows", rows)
    trial = runs.extend()
    assert any(line.startswith(f"bf16: mutant: {wrong} FAIL") for line in trial.lines)
    (part,) = (p for p in schema.load(summary)["precisions"] if p["precision"] == "bf16")
    assert FAINT not in part["mutants"]


@pytest.mark.parametrize(("verdict", "wrong"), [(Verdict.FAIL, False), (Verdict.PASS, True)])
def test_what_a_change_touches_is_tried_again_and_touched_while_it_is_wrong(
    monkeypatch, summary, kept, verdict, wrong
):
    topic = touched.source_of(mutants.all_mutants()[PLAIN])
    kept["sources"] = {**touched.sources(), topic: "0" * 64}
    before = copy.deepcopy(fp32(kept))

    def rows(*, halves, precision, only=None, honest=(), **_):
        if halves == ["decoder"] and precision == "fp32" and PLAIN in only and not honest:
            yield row(PLAIN, *(cell(verdict, 2.0, i) for i in mutants.all_mutants()[PLAIN].kills))

    monkeypatch.setattr(runs.matrix, "rows", rows)
    trial = runs.extend()
    assert (f"fp32: survived: {PLAIN}" in trial.lines) == wrong
    after = schema.load(summary)
    assert (topic in after["sources"]) != wrong
    assert fp32(after)["mutants"][PLAIN] == "killed"
    assert kills(fp32(after)).items() >= kills(before).items(), "an old kill counts once"


@pytest.mark.parametrize(("verdict", "wrong"), [(Verdict.PASS, False), (Verdict.FAIL, True)])
def test_honest_candidates_meet_a_check_that_has_changed(
    monkeypatch, summary, kept, verdict, wrong
):
    file = "checks/test_rope"
    kept["sources"] = {**touched.sources(), file: "0" * 64}
    before, asked = copy.deepcopy(fp32(kept)), set()

    def rows(*, halves, precision, only=None, honest=(), without=(), **_):
        if halves == ["decoder"] and precision == "fp32" and only == () and honest:
            asked.update(set(IDS).difference(without))
            yield Row("mutant", None, (cell(verdict, 2.0),))

    monkeypatch.setattr(runs.matrix, "rows", rows)
    trial = runs.extend()
    assert asked == set(touched.requirements(kept["sources"])) >= {KILLS}
    assert any(line.startswith(f"fp32: mutant: {KILLS} FAIL") for line in trial.lines) == wrong
    after = schema.load(summary)
    assert (file in after["sources"]) != wrong, "what accuses an honest candidate stays changed"
    assert kills(fp32(after)) == kills(before)


def kills(part):
    return {row["id"]: row["kills"] for row in part["requirements"]}
