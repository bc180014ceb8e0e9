"""The run folder: nothing stale stands in it, nothing seen is lost, whatever moment a run dies."""

from __future__ import annotations

import dataclasses

import pytest

from conformance.errors import UsageError
from conformance.ledger import Ledger
from conformance.plan import Planned
from conformance.records import (
    CandidateInfo,
    CaseResult,
    Claims,
    Outcome,
    Report,
    Run,
    Verdict,
)
from conformance.run_folder import UNFINISHED, RunFolder
from conformance.spec import load
from conformance.verdicts import outcome_of

SPEC = load()
PLANNED = tuple(Planned(SPEC.requirements[name], None) for name in ("EMBED-001", "ATTN-002"))


def report_of(ledger: Ledger, missing: str) -> Report:
    results = ledger.requirements(missing)
    return Report(
        suite={"version": "1", "spec": "1.0", "spec_digest": "a" * 64, "digest": "b" * 64},
        candidate=CandidateInfo("c", "1", "r", "d", Claims(frozenset({"operators"}))),
        contract=SPEC.contracts["fp32"],
        profile="decoder",
        models=(),
        run=Run("c", ("--candidate=c",), 1, "2026-01-01T00:00:00Z", 0.0, True, False, False),  # noqa: FBT003
        outcome=outcome_of(results, partial=False),
        requirements=results,
        environment={},
    )


def passed(case: str, requirement: str) -> CaseResult:
    return CaseResult(case, requirement, Verdict.PASS, 0.5)


@pytest.fixture
def ledger():
    return Ledger(PLANNED, ())


@pytest.fixture
def folder(tmp_path, ledger):
    folder = RunFolder(tmp_path / "run")
    folder.retire()
    folder.begin(report_of(ledger, UNFINISHED))
    return folder


def test_a_run_that_has_begun_reads_as_incomplete(folder):
    assert folder.read().outcome is Outcome.INCOMPLETE
    assert not folder.finished()


def test_a_run_that_has_ended_says_so_and_is_rendered(folder, ledger):
    for case, requirement in ledger.expected.items():
        ledger.keep(passed(case, requirement))
    folder.finish(report_of(ledger, ""))
    assert folder.finished()
    assert folder.read().outcome is Outcome.CONFORMANT
    assert (folder.path / "report.html").read_text(encoding="utf-8").startswith("<!")
    assert "<testsuite" in (folder.path / "junit.xml").read_text(encoding="utf-8")


def test_what_was_logged_is_recovered_and_the_rest_is_not_run(folder, ledger):
    first, second, *rest = ledger.expected
    assert rest
    folder.case_began(first, "EMBED-001")
    folder.case_ended(passed(first, "EMBED-001"))
    folder.case_began(second, "ATTN-002")
    recovered = folder.recover("killed")
    assert recovered.outcome is Outcome.INCOMPLETE
    verdicts = {r.requirement.id: r.verdict for r in recovered.requirements}
    assert verdicts == {"EMBED-001": Verdict.PASS, "ATTN-002": Verdict.NOT_RUN}
    cases = {c.id: c.message for r in recovered.requirements for c in r.cases}
    assert set(cases) == set(ledger.expected)
    assert cases[second] == "killed"
    assert cases[rest[0]] == UNFINISHED
    assert folder.read() == recovered


def test_a_recovered_run_is_incomplete_though_every_case_passed(folder, ledger):
    for case, requirement in ledger.expected.items():
        folder.case_ended(passed(case, requirement))
    assert folder.recover("killed").outcome is Outcome.INCOMPLETE


def test_a_recovered_failure_is_nonconformant(folder, ledger):
    case = next(iter(ledger.expected))
    folder.case_ended(dataclasses.replace(passed(case, "EMBED-001"), verdict=Verdict.FAIL))
    assert folder.recover("killed").outcome is Outcome.NONCONFORMANT


def test_a_log_cut_at_any_byte_is_recovered(folder, ledger):
    for case, requirement in list(ledger.expected.items())[:2]:
        folder.case_began(case, requirement)
        folder.case_ended(passed(case, requirement))
    log = folder.path / "evidence" / "results.jsonl"
    whole, unfinished = log.read_bytes(), folder.report_file.read_bytes()
    for cut in range(0, len(whole), 37):
        log.write_bytes(whole[:cut])
        folder.report_file.write_bytes(unfinished)
        assert folder.recover("killed").outcome is Outcome.INCOMPLETE


def test_an_earlier_run_is_set_aside_once_and_times_the_next(folder, ledger):
    for case, requirement in ledger.expected.items():
        ledger.keep(passed(case, requirement))
    folder.finish(report_of(ledger, ""))
    folder.keep_counterexample("one", {"a": 1})
    folder.retire()
    folder.retire()
    assert [path.name for path in folder.path.iterdir()] == [".previous-run"]
    assert set(folder.earlier_durations()) == set(ledger.expected)
    assert (folder.path / ".previous-run" / "counterexamples" / "one.json").is_file()


@pytest.mark.parametrize("name", ["report.json", "evidence", "junit.xml", "counterexamples"])
def test_files_that_no_run_wrote_are_not_moved(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="name another folder with --out"):
        RunFolder(tmp_path).retire()
    assert (tmp_path / name).is_dir()


@pytest.mark.parametrize("deed", ["check", "retire"])
def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path, deed):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        getattr(RunFolder(tmp_path / "file" / "run"), deed)()


def test_looking_whether_a_folder_can_be_used_changes_nothing(folder):
    before = folder.stamp()
    folder.check()
    assert folder.stamp() == before
    new = RunFolder(folder.path / "new" / "run")
    new.check()
    assert not (folder.path / "new").exists()


def test_a_report_that_replaces_another_has_a_stamp_of_its_own(folder, ledger):
    before = folder.stamp()
    folder.finish(report_of(ledger, ""))
    assert before is not None
    assert folder.stamp() not in (None, before)


def test_where_the_earlier_report_went_is_told_with_the_new_one(folder, ledger):
    folder.finish(report_of(ledger, ""))
    assert folder.told() == f"report: {folder.path / 'report.html'}"
    folder.retire()
    assert folder.told().startswith("the earlier report was set aside: ")


def test_of_several_results_for_one_case_the_worst_is_kept(ledger):
    case = next(iter(ledger.expected))
    good = passed(case, "EMBED-001")
    assert ledger.keep(dataclasses.replace(good, verdict=Verdict.FAIL))
    assert not ledger.keep(good)
    assert ledger.requirements("")[0].verdict is Verdict.FAIL


def test_a_case_that_was_not_planned_counts_and_replaces_none(ledger):
    ledger.keep(passed("test_of_somebody_elses", "EMBED-001"))
    first = ledger.requirements("left out")[0]
    assert first.verdict is Verdict.NOT_RUN
    assert first.reason == "left out"


def test_a_replay_of_no_case_of_the_run_is_refused():
    with pytest.raises(UsageError, match="no case 'test_gone' to replay"):
        Ledger(PLANNED, (), "test_gone")
