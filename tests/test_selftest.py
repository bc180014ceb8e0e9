"""The self-test finds a sound suite sound, and a blunted one wanting."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from conformance import cli, judge, matrix, mutants, schema, selftest
from conformance.matrix import corpus, page, record
from conformance.records import Measurement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

FEW = ("scale-missing", "rotation-by-index", "version-untold")


@pytest.fixture
def few(monkeypatch, tmp_path):
    monkeypatch.setenv("LLM_CONFORMANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(selftest, "chosen_mutants", lambda: FEW)


def test_the_chosen_mutants_prove_every_requirement():
    chosen = [mutants.all_mutants()[name] for name in selftest.chosen_mutants()]
    everything = {name for mutant in mutants.all_mutants().values() for name in mutant.kills}
    assert {name for mutant in chosen for name in mutant.kills} == everything


@pytest.mark.usefixtures("few")
def test_a_blunt_judge_is_noticed_and_the_result_kept(monkeypatch, capsys):
    monkeypatch.setattr(judge, "within_bounds", lambda *_: None)
    assert cli.main(["selftest"]) == 3
    told = capsys.readouterr().out
    assert "not caught: scale-missing by ATTN-002" in told
    assert "not caught: rotation-by-index by ROPE-002" in told
    assert "version-untold" not in told
    kept = json.loads(selftest.kept_in().read_text())
    assert kept["passed"] is False
    assert kept["lines"] == told.splitlines()


@pytest.mark.usefixtures("few")
def test_a_judge_that_is_too_strict_is_noticed(monkeypatch, capsys):
    strict = Measurement("rho", 2.0, 1.0, "bounds", "Y[0]", 1)
    monkeypatch.setattr(judge.values, "_rho", lambda *_: strict)
    assert cli.main(["selftest"]) == 3
    assert "honest candidate failed: mutant: NORM-001 FAIL" in capsys.readouterr().out


def cell(verdict: Verdict, observed: float = 2.0, requirement: str = "ATTN-002") -> matrix.Cell:
    worst = Measurement("rho", observed, 1.0, "bounds", "Y[0]", 1)
    return matrix.Cell(requirement, verdict, worst, "")


def row(name: str, *cells: matrix.Cell) -> matrix.Row:
    return matrix.Row(name, mutants.all_mutants()[name], cells)


KILLED = row("scale-missing", cell(Verdict.FAIL, 40.0))
FAINT = row("rotation-by-index", cell(Verdict.PASS, 0.5, "ROPE-002"))
HONEST = matrix.Row("mutant", None, (cell(Verdict.PASS, 0.1), cell(Verdict.PASS, 0.1, "ROPE-002")))


def test_what_becomes_of_a_mutant():
    assert record.fate(KILLED, set()) == record.KILLED
    assert record.fate(FAINT, set()) == record.SURVIVED
    assert record.fate(FAINT, {"rotation-by-index"}) == record.BELOW_NOISE


def test_an_honest_candidate_that_is_failed_is_a_false_alarm():
    assert record.false_alarms([HONEST, KILLED]) == []
    failed = matrix.Row("pytorch", None, (cell(Verdict.FAIL), cell(Verdict.ERROR)))
    assert len(record.false_alarms([failed])) == 2


def test_what_a_runtime_is_known_to_do_wrong_is_no_false_alarm():
    name, known = "onnxruntime?optimization=all", min(matrix.known_faults("onnxruntime"))
    caught = matrix.Row(name, None, (cell(Verdict.FAIL, 2.0, known), cell(Verdict.FAIL)))
    (alarm,) = record.false_alarms([caught])
    assert known not in alarm


def test_the_record_and_the_page_tell_score_survivors_and_smallest_fault():
    found = {"fp32": [HONEST, KILLED, FAINT]}
    document = record.document(found)
    schema.validate("kill-matrix", json.loads(schema.dump(document)))
    (part,) = document["precisions"]
    assert part["score"] == {"killed": 1, "of": 2}
    assert part["requirements"][0]["smallest"] == {"mutant": "scale-missing", "severity": 40.0}
    assert part["requirements"][1]["smallest"] is None
    shown = page.render(document)
    assert "1 of 2 mutants killed" in shown
    assert "reaches 0.5 of the limit of ROPE-002" in shown
    assert "this requirement is not proved at this precision" in shown


def test_the_whole_matrix_is_not_passed_where_a_named_requirement_catches_nothing(
    monkeypatch, tmp_path
):
    found = [HONEST, KILLED, FAINT]
    monkeypatch.setattr(matrix, "rows", lambda **_: iter(found))
    trial = selftest.whole(tmp_path, ["fp32"], say=lambda _: None)
    assert not trial.passed
    assert "not caught: rotation-by-index by ROPE-002" in trial.lines
    assert (tmp_path / "kill-matrix.json").is_file()


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
