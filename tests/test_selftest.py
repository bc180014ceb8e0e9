"""The self-test finds a sound suite sound, and a blunted one wanting."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from conformance import cli, identity, judge, matrix, mutants, proof, schema, selftest, spec
from conformance.matrix import cells, corpus, page, record, runs
from conformance.records import Measurement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

FEW = ("scale-missing", "rotation-by-index", "version-untold")


@pytest.fixture
def few(monkeypatch, tmp_path):
    monkeypatch.setenv("LLM_CONFORMANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(selftest, "chosen_mutants", lambda: FEW)


def test_the_chosen_mutants_prove_every_requirement_of_the_trial():
    chosen = [mutants.all_mutants()[name] for name in selftest.chosen_mutants()]
    assert selftest.asked() <= {name for mutant in chosen for name in mutant.kills}
    assert len(selftest.asked()) > 100


@pytest.mark.usefixtures("few")
def test_a_blunt_judge_is_noticed_and_the_result_kept(monkeypatch, capsys):
    monkeypatch.setattr(judge, "within_bounds", lambda *_: None)
    assert cli.main(["selftest"]) == 3
    told = capsys.readouterr().out
    assert "not caught: scale-missing by ATTN-002" in told
    assert "not caught: rotation-by-index by ROPE-002" in told
    assert "version-untold" not in told
    kept = json.loads(proof.selftest_file().read_text())
    assert kept["passed"] is False
    assert kept["lines"] == told.splitlines()
    assert kept["environment"] == identity.environment()
    assert kept["suite"] == identity.suite()
    assert proof.quoted()["selftest"] == f"{kept['date']}: failed: {kept['lines'][0]}"


@pytest.mark.usefixtures("few")
def test_a_judge_that_is_too_strict_is_noticed(monkeypatch, capsys):
    strict = Measurement("rho", 2.0, 1.0, "bounds", "Y[0]", 1)
    monkeypatch.setattr(judge.values, "rho_of", lambda *_: strict)
    assert cli.main(["selftest"]) == 3
    assert "honest candidate failed: mutant: NORM-001 FAIL" in capsys.readouterr().out


@pytest.mark.usefixtures("few")
def test_a_selftest_that_was_not_run_here_is_told_as_such():
    assert proof.selftest().startswith("not run in this environment")
    proof.keep_selftest(passed=True, lines=["caught all"])
    assert proof.selftest().endswith(": passed")


def cell(verdict: Verdict, observed: float = 2.0, requirement: str = "ATTN-002") -> matrix.Cell:
    worst = Measurement("rho", observed, 1.0, "bounds", "Y[0]", 1)
    failed = ("test_a",) if verdict is Verdict.FAIL else ()
    return matrix.Cell(requirement, verdict, worst, "", "test_a", failed)


def row(name: str, *cells: matrix.Cell, **changes: Any) -> matrix.Row:
    mutant = dataclasses.replace(mutants.all_mutants()[name], **changes)
    return matrix.Row(name, mutant, cells)


KILLED = row("scale-missing", cell(Verdict.FAIL, 40.0), kills=("ATTN-002",))
FAINT = row("rotation-by-index", cell(Verdict.PASS, 0.5, "ROPE-002"))
HONEST = matrix.Row("mutant", None, (cell(Verdict.PASS, 0.1), cell(Verdict.PASS, 0.1, "ROPE-002")))


def test_what_becomes_of_a_mutant_is_declared_with_it():
    assert record.fate(KILLED, "fp32") == record.KILLED
    assert record.fate(FAINT, "bf16") == record.SURVIVED
    faint = row("rotation-by-index", *FAINT.cells, below_noise_at=("bf16",))
    assert record.fate(faint, "bf16") == record.BELOW_NOISE
    assert record.fate(faint, "fp16") == record.SURVIVED
    same = row("rotation-by-index", *FAINT.cells, equivalent_at={"bf16": "It is the contract."})
    assert record.fate(same, "bf16") == record.EQUIVALENT
    assert record.fate(same, "fp32") == record.SURVIVED


def test_an_honest_candidate_that_is_failed_is_a_false_alarm():
    assert record.false_alarms([HONEST, KILLED], "fp32") == []
    failed = matrix.Row("pytorch", None, (cell(Verdict.FAIL), cell(Verdict.ERROR)))
    assert len(record.false_alarms([failed], "fp32")) == 2


def test_a_mutant_that_is_none_at_a_precision_and_is_failed_is_a_false_alarm_there():
    same = row("scale-missing", *KILLED.cells, equivalent_at={"bf16": "It is the contract."})
    assert record.false_alarms([same], "fp32") == []
    assert len(record.false_alarms([same], "bf16")) == 1


def test_a_cell_tells_the_worst_of_the_checks_that_failed():
    def found(name: str, verdict: Verdict, observed: float, limit: float) -> tuple[Any, ...]:
        return name, verdict, Measurement("max", observed, limit, "noise units", "", 1), name

    told = cells.folded(
        "CACHE-001",
        [
            found("test_near_its_limit", Verdict.PASS, 3.9, 4.0),
            found("test_a", Verdict.FAIL, 8.0, 4.0),
            found("test_b", Verdict.FAIL, 50.0, 4.0),
        ],
    )
    assert (told.check, told.worst.observed, told.verdict) == ("test_b", 50.0, Verdict.FAIL)
    assert told.failed == ("test_a", "test_b")
    crashed = cells.folded("CACHE-001", [("test_c", Verdict.FAIL, None, "crashed")])
    assert (crashed.check, crashed.worst, crashed.severity) == ("test_c", None, float("inf"))


def test_what_a_runtime_is_known_to_do_wrong_is_no_false_alarm():
    name, known = "onnxruntime?optimization=all", min(matrix.known_faults("onnxruntime"))
    caught = matrix.Row(name, None, (cell(Verdict.FAIL, 2.0, known), cell(Verdict.FAIL)))
    (alarm,) = record.false_alarms([caught], "fp32")
    assert known not in alarm


def test_the_record_and_the_page_tell_score_survivors_and_smallest_fault():
    document = record.document([record.part("fp32", [HONEST, KILLED, FAINT], [KILLED])])
    schema.validate("kill-matrix", json.loads(schema.dump(document)))
    (part,) = document["precisions"]
    assert part["score"] == {"killed": 1, "of": 2}
    smallest = part["requirements"][0]["smallest"]
    assert (smallest["mutant"], smallest["observed"], smallest["unit"]) == (
        "scale-missing",
        40.0,
        "bounds",
    )
    assert part["requirements"][1]["smallest"] is None
    near = part["mutants"][1]["nearest"]
    assert (near["requirement"], near["observed"], near["honest"]) == ("ROPE-002", 0.5, 0.1)
    shown = page.render(document)
    assert "1 of 2 mutants killed" in shown
    assert "ROPE-002: 0.5 bounds, allowed 1; honest candidates to 0.1; test_<wbr>a" in shown
    assert "none: not proved at this precision" in shown


def test_the_page_tells_which_check_killed_what_by_how_much_and_where_the_bug_was_seen():
    known = row("scale-missing", cell(Verdict.FAIL, 40.0), bug="owner/repository#7")
    shown = page.render(record.document([record.part("fp32", [HONEST, known])]))
    assert "ATTN-002: 40 bounds, allowed 1; test_<wbr>a" in shown
    assert 'href="https://github.com/owner/repository/issues/7"' in shown


def only_here(monkeypatch: pytest.MonkeyPatch, found: list[matrix.Row]) -> None:
    """Let the suite know the mutants of some rows alone."""
    known = {row.name: row.mutant for row in found if row.mutant}
    monkeypatch.setattr(mutants, "all_mutants", lambda: known)


def case_on(name: str, tried: list[str]) -> Any:
    """Return a case whose check notes the model and fails on all but the first."""

    def failing(model: str) -> None:
        tried.append(model)
        observed = 0.5 if model == "first" else 2.0
        judge.settling.settle(Measurement("rho", observed, 1.0, "bounds", "", 1))

    check = SimpleNamespace(name="test_a", original=failing, arguments=lambda: ["model"])
    return corpus._Case(check, name, {}, [{}])


@pytest.mark.parametrize(
    ("briefly", "far", "expected"),
    [
        (True, (), ["first", "second"]),
        (False, (), ["first", "second", "third"]),
        (False, ("third",), ["first", "second"]),
        (False, ("first",), ["second", "third"]),
        (True, ("second", "third"), ["first", "second"]),
    ],
)
def test_a_check_that_failed_on_one_model_is_done_with_where_it_may_be(briefly, far, expected):
    tried: list[str] = []
    judging = object.__new__(corpus.Corpus)
    names = ("first", "second", "third")
    judging._cases = {"ATTN-002": [case_on(name, tried) for name in names]}
    fixtures = {"model": {name: name for name in names}}
    found = judging._cell(SimpleNamespace(id="ATTN-002"), fixtures, (), far, briefly=briefly)
    assert tried == expected
    assert (found.verdict, found.failed, found.worst.observed) == (Verdict.FAIL, ("test_a",), 2.0)


def test_a_fault_of_a_session_is_held_against_what_begins_one():
    every = list(spec.load().requirements.values())
    known = mutants.all_mutants()
    reached = matrix.reached(known["crop-ignored"], every)
    assert {r.id for r in reached} == {"CACHE-001", "CACHE-002", "CACHE-003", "CACHE-004"}
    assert len(matrix.reached(known["rope-base-ignored"], every)) > 15


def test_the_tasks_of_a_matrix_hold_every_row_once():
    for jobs in (1, 2, 64):
        tasks = runs._tasks(["fp32", "bf16"], jobs)
        for half in matrix.HALVES:
            at = ("bf16", half)
            shares = [task.share for task in tasks if (task.precision, task.half) == at]
            rows = sorted(row for i, of in shares for row in range(20)[i::of])
            assert rows == list(range(20))
    names = list(mutants.all_mutants())[:4]
    found = [
        [row.name for row in matrix.rows(only=names, honest=(), declared=True, share=(i, 2))]
        for i in range(2)
    ]
    assert found == [names[::2], names[1::2]]


def test_rows_of_several_shares_come_in_the_order_of_the_mutants():
    first, second, *_ = mutants.all_mutants()
    named = [("mutant", ()), (second, ()), ("jax", ()), (first, ())]
    assert [row.name for row in runs._joined(named)] == ["mutant", "jax", first, second]


def at(halves: list[str]) -> bool:
    return list(halves) == ["operators"]


def test_an_honest_candidate_has_one_row_of_both_halves():
    parts = [
        ("pytorch", (cell(Verdict.PASS),)),
        ("pytorch", (cell(Verdict.PASS, 0.1, "ROPE-002"),)),
    ]
    (joined,) = runs._joined(parts)
    assert [one.requirement for one in joined.cells] == ["ATTN-002", "ROPE-002"]


def test_every_mutant_stands_in_one_half_of_the_matrix():
    names = ("scale-missing", "version-untold", "rope-base-10001")
    for half, expected in (("operators", names[:1]), ("decoder", names[1:])):
        found = matrix.rows(only=names, honest=(), declared=True, halves=[half])
        assert [row.name for row in found] == list(expected)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([HONEST, KILLED], ""),
        ([HONEST, KILLED, FAINT], "fp32: not caught: rotation-by-index by ROPE-002"),
        ([HONEST, KILLED, FAINT], "fp32: survived: rotation-by-index"),
        ([matrix.Row("pytorch", None, (cell(Verdict.FAIL),))], "fp32: pytorch: ATTN-002 FAIL "),
    ],
)
def test_the_whole_matrix_passes_where_nothing_survives_and_nothing_honest_is_failed(
    monkeypatch, tmp_path, found, problem
):
    only_here(monkeypatch, found)
    monkeypatch.setattr(matrix, "rows", lambda *, halves, **_: iter(found if at(halves) else []))
    monkeypatch.setattr(matrix, "exported", lambda: iter([]))
    trial = runs.whole(tmp_path, ["fp32"])
    assert trial.passed == (not problem)
    assert not problem or problem in trial.lines
    assert (tmp_path / "kill-matrix.json").is_file()


def test_a_blunt_check_is_noticed_at_sixteen_bits_too(monkeypatch, tmp_path):
    rows = {"fp32": [HONEST, KILLED], "bf16": [HONEST, row("scale-missing", cell(Verdict.PASS))]}
    only_here(monkeypatch, rows["fp32"])
    monkeypatch.setattr(
        matrix,
        "rows",
        lambda *, precision, halves, **_: iter(rows[precision] if at(halves) else []),
    )
    monkeypatch.setattr(matrix, "exported", lambda: iter([]))
    trial = runs.whole(tmp_path, ["fp32", "bf16"])
    assert not trial.passed
    assert trial.lines[0] == "bf16: survived: scale-missing"
    assert trial.lines[-1] == "fp32: 1 of 1 mutants killed; bf16: 0 of 1 mutants killed"


def test_a_check_that_measured_nothing_has_not_passed():
    def decide(check: Callable[[], None]) -> Verdict:
        case = SimpleNamespace(check=SimpleNamespace(original=check), parameters={}, examples=[{}])
        return corpus._decide(case, {})[0]

    assert decide(lambda: None) is Verdict.NOT_RUN
    assert decide(lambda: judge.all_zero(np.zeros(0))) is Verdict.NOT_RUN
    assert decide(lambda: judge.all_zero(np.zeros(1))) is Verdict.PASS


def test_a_kill_without_a_number_is_infinitely_severe():
    for observed in (float("nan"), 0.5):
        assert cell(Verdict.FAIL, observed).severity == float("inf")
    assert cell(Verdict.PASS, 0.5).severity == 0.5
