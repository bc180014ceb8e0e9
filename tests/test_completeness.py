"""Nothing that was not evaluated reads as passed: ledger, items, session, a dead run."""

from __future__ import annotations

import signal
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from conformance import catalogue, checked, evidence, items, session, spec
from conformance.errors import CandidateRaised, Nonconformity, NotInBuild
from conformance.integrity import Watch
from conformance.ledger import Ledger, settle
from conformance.plan import plan
from conformance.records import (
    CandidateInfo,
    CaseResult,
    Claims,
    Measurement,
    Outcome,
    Verdict,
)
from conformance.run_folder import UNFINISHED, RunFolder
from conformance.selection import Selection
from conformance.verdicts import outcome_of

STANDARD = spec.load()
DECODER = STANDARD.profiles["decoder"]
MODELS = ("one", "two")
EVERYTHING = Claims(frozenset(STANDARD.capabilities))
LEFT_OUT = "left out"


CHECKS = [c for c in catalogue.all_checks() if c.requirement in DECODER.requirements]
CASES = {case: check.requirement for check in CHECKS for case in check.cases(MODELS)}
PER_MODEL = next(case for case in CASES if "/two" in case)
PARAMETRISED = next(c.cases(MODELS)[-1] for c in CHECKS if len(c.parametrisations()) > 1)


def passed(case: str, verdict: Verdict = Verdict.PASS) -> CaseResult:
    return CaseResult(case, CASES[case], verdict, 0.1)


def ledger_of(cases, only=()) -> Ledger:
    ledger = Ledger(plan(STANDARD, DECODER, EVERYTHING, only), MODELS)
    for case in cases:
        ledger.keep(passed(case))
    return ledger


def result(results, requirement):
    (found,) = [r for r in results if r.requirement.id == requirement]
    return found


# -- the ledger ------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_owes_a_case_for_each_model_and_parameter(check):
    models = len(MODELS) if check.per_model else 1
    assert len(set(check.cases(MODELS))) == models * len(check.parametrisations())


def test_the_profile_passes_when_every_case_of_every_check_passed():
    results = ledger_of(CASES).requirements(LEFT_OUT)
    assert {r.verdict for r in results} == {Verdict.PASS}
    assert outcome_of(results, partial=False) is Outcome.CONFORMANT


@pytest.mark.parametrize("missing", [next(iter(CASES)), PER_MODEL, PARAMETRISED])
def test_one_case_without_a_result_is_not_run_and_so_is_its_requirement(missing):
    results = ledger_of(case for case in CASES if case != missing).requirements(LEFT_OUT)
    found = result(results, CASES[missing])
    assert (found.verdict, found.reason) == (Verdict.NOT_RUN, LEFT_OUT)
    assert [c.id for c in found.cases if c.verdict is Verdict.NOT_RUN] == [missing]
    assert outcome_of(results, partial=False) is Outcome.INCOMPLETE


def test_a_run_without_any_result_has_run_nothing():
    results = ledger_of(()).requirements(LEFT_OUT)
    assert {r.verdict for r in results} == {Verdict.NOT_RUN}
    assert {c.id for r in results for c in r.cases} == set(CASES)


def test_a_case_does_not_stand_in_for_one_with_a_shorter_name():
    ledger = ledger_of(case for case in CASES if case != PER_MODEL)
    ledger.keep(CaseResult(f"{PER_MODEL}-more", CASES[PER_MODEL], Verdict.PASS, 0.1))
    assert result(ledger.requirements(LEFT_OUT), CASES[PER_MODEL]).verdict is Verdict.NOT_RUN


def test_the_requirements_that_were_not_selected_are_on_the_report():
    only = CASES[PER_MODEL]
    results = ledger_of((c for c in CASES if CASES[c] == only), (only,)).requirements(LEFT_OUT)
    assert result(results, only).verdict is Verdict.PASS
    assert len(results) == len(DECODER.requirements)
    assert {r.verdict for r in results if r.requirement.id != only} == {Verdict.NOT_RUN}


@pytest.mark.parametrize("later", [Verdict.PASS, Verdict.FAIL])
def test_a_clean_tear_down_does_not_undo_a_failure(later):
    ledger = ledger_of(CASES)
    for verdict in (Verdict.FAIL, later):
        ledger.keep(passed(PER_MODEL, verdict))
    assert result(ledger.requirements(LEFT_OUT), CASES[PER_MODEL]).verdict is Verdict.FAIL


def test_one_failing_case_fails_the_requirement_whatever_its_others_did():
    ledger = ledger_of(())
    ledger.keep(passed(PER_MODEL, Verdict.FAIL))
    assert result(ledger.requirements(LEFT_OUT), CASES[PER_MODEL]).verdict is Verdict.FAIL


# -- one item --------------------------------------------------------------------------------

WITHIN = Measurement("max", 1.0, 4.0, "noise units", "", 1)
BEYOND = Measurement("max", 5.0, 4.0, "noise units", "", 1)
EMPTY = Measurement("nonzero", 0.0, 0.0, "numbers", "", 0)
UNKNOWN = Measurement("max", float("nan"), 4.0, "noise units", "", 1)


def happened(folder, measured, raised=None, seen=None, when="call"):
    """Return the verdict of an item: what it measured, what it raised and what pytest saw."""
    stash = pytest.Stash()
    with evidence.collect() as stash[items.SINK]:
        for measurement in measured:
            evidence.record(measurement)
    stash[items.ERROR] = raised
    mark = SimpleNamespace(args=("ATTN-001",))
    watched = pytest.Stash()
    watched[items.WATCH] = Watch()
    config = SimpleNamespace(stash=watched)
    item = SimpleNamespace(
        name="test_a", stash=stash, config=config, get_closest_marker=lambda _: mark
    )
    excinfo = None if seen is None else SimpleNamespace(value=seen)
    call = SimpleNamespace(when=when, excinfo=excinfo, duration=0.1)
    return items.result(item, call, Selection("c"), RunFolder(folder)).verdict


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ({"measured": [WITHIN]}, Verdict.PASS),
        ({"measured": []}, Verdict.ERROR),
        ({"measured": [EMPTY]}, Verdict.ERROR),
        ({"measured": [EMPTY, WITHIN]}, Verdict.PASS),
        ({"measured": [BEYOND]}, Verdict.FAIL),
        ({"measured": [UNKNOWN]}, Verdict.FAIL),
        ({"measured": [WITHIN, BEYOND]}, Verdict.FAIL),
        ({"measured": [WITHIN], "raised": Nonconformity(BEYOND)}, Verdict.FAIL),
        ({"measured": [WITHIN], "seen": Nonconformity(BEYOND)}, Verdict.FAIL),
        ({"measured": [WITHIN], "seen": pytest.skip.Exception("excuse")}, Verdict.ERROR),
        ({"measured": [], "seen": OSError("ours"), "when": "setup"}, Verdict.ERROR),
        ({"measured": [WITHIN], "seen": OSError("ours"), "when": "teardown"}, Verdict.ERROR),
    ],
)
def test_an_item_passes_only_when_it_measured_something_and_nothing_went_wrong(
    tmp_path, what, verdict
):
    assert happened(tmp_path, **what) is verdict


# -- the session -----------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return a function that starts a session in a run folder, in pytest's place."""
    subject = SimpleNamespace(
        info=CandidateInfo("c", "1", "r", "d", EVERYTHING),
        contract=STANDARD.contracts["fp32"],
        models={name: SimpleNamespace() for name in MODELS},  # which nobody asked for an answer
        model_records=lambda: (),
        claims=lambda: (EVERYTHING, None),
        against=None,
        second=lambda: None,
        preflights={},
    )
    monkeypatch.setattr(session, "open_subject", lambda *_: nullcontext(subject))
    opened = []

    def start(only=()):
        selection = Selection("c", profile="decoder", only=only, out=str(tmp_path / "r"), seed=1)
        started = SimpleNamespace(args=())
        config = SimpleNamespace(stash=pytest.Stash(), invocation_params=started)
        hosted = session.ConformanceSession(config, selection)
        hosted.watch = SimpleNamespace(replaced=str)  # this test replaces code of the suite itself
        opened.append(hosted)
        hosted.pytest_sessionstart()
        return hosted

    yield start
    for hosted in opened:
        hosted.pytest_unconfigure()


def finish(hosted):
    """Return the report of a session that has ended, and its exit code."""
    ended = SimpleNamespace(exitstatus=0)
    hook = hosted.pytest_sessionfinish(ended, 0)
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(None)
    return hosted.folder.read(), ended.exitstatus


def test_a_run_in_which_every_case_passed_ends_with_0(host):
    hosted = host()
    hosted.ledger = ledger_of(CASES)
    report, status = finish(hosted)
    assert (report.outcome, status) == (Outcome.CONFORMANT, 0)


def test_a_run_that_lacks_one_case_ends_with_2(host):
    hosted = host()
    hosted.ledger = ledger_of(case for case in CASES if case != PER_MODEL)
    report, status = finish(hosted)
    assert (report.outcome, status) == (Outcome.INCOMPLETE, 2)


def test_a_selection_is_partial_even_when_everything_passed(host):
    hosted = host(only=DECODER.requirements)
    hosted.ledger = ledger_of(CASES)
    report, status = finish(hosted)
    assert report.run.partial
    assert (report.outcome, status) == (Outcome.INCOMPLETE, 2)


def test_a_run_that_was_to_end_is_incomplete_though_every_case_had_passed(host):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are handled in the main thread alone")
    hosted = host()
    hosted.ledger = ledger_of(CASES)
    assert callable(signal.getsignal(signal.SIGTERM)), "the signal would end the tests' process"
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    report, status = finish(hosted)
    assert (report.outcome, status) == (Outcome.INCOMPLETE, 2)


def test_the_handlers_of_signals_come_back_when_a_run_has_ended(host):
    before = signal.getsignal(signal.SIGINT)
    hosted = host()
    assert signal.getsignal(signal.SIGINT) != before
    hosted.pytest_unconfigure()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_check_module_that_cannot_be_imported_is_a_fault_of_the_suite(host):
    hosted = host()
    hosted.ledger = ledger_of(CASES)
    name = f"checks/{CHECKS[0].module}.py"
    failed = SimpleNamespace(failed=True, nodeid=name, longreprtext="ImportError")
    hosted.pytest_collectreport(failed)
    report, status = finish(hosted)
    assert (report.outcome, status) == (Outcome.INCOMPLETE, 3)


def test_a_fault_of_the_suite_does_not_hide_a_failure_of_the_candidate(host):
    hosted = host()
    hosted.ledger = ledger_of(CASES)
    hosted.ledger.keep(passed(PER_MODEL, Verdict.FAIL))
    hosted.pytest_internalerror("a plugin broke")
    report, status = finish(hosted)
    assert (report.outcome, status) == (Outcome.NONCONFORMANT, 1)


def test_only_hidden_states_may_be_missing_in_a_build():
    def lacks():
        raise NotInBuild("the file has none")

    with pytest.raises(NotInBuild):
        checked.guarded("hidden_states", lacks)
    for what in ("logits", "append", "Softmax"):
        with pytest.raises(CandidateRaised, match="the file has none"):
            checked.guarded(what, lacks)


def test_what_no_profile_demands_may_be_missing_in_a_build():
    demanded = {word for profile in STANDARD.profiles.values() for word in profile.demands}
    assert checked.MAY_LACK in STANDARD.capabilities
    assert checked.MAY_LACK not in demanded


def test_a_requirement_that_no_build_shows_is_not_applicable_and_says_why():
    own = [
        CaseResult(case, "TAP-001", Verdict.NOT_APPLICABLE, 0.1, message="no stream\nmore")
        for case, requirement in CASES.items()
        if requirement == "TAP-001"
    ]
    found = settle(STANDARD.requirements["TAP-001"], own, "missing")
    assert (found.verdict, found.reason) == (Verdict.NOT_APPLICABLE, "no stream")


# -- a run that died -------------------------------------------------------------------------


def died(hosted, *ended: CaseResult, running: str = ""):
    for case in ended:
        hosted.folder.case_ended(case)
    if running:
        hosted.folder.case_began(running, CASES[running])
    return hosted.folder.recover("died")


def test_the_report_of_a_run_that_has_just_begun_is_incomplete(host):
    report = host().folder.read()
    assert report.outcome is Outcome.INCOMPLETE
    assert {r.verdict for r in report.requirements} == {Verdict.NOT_RUN}
    assert {r.reason for r in report.requirements} == {UNFINISHED}


def test_a_run_that_died_is_incomplete_even_when_every_case_had_passed(host):
    report = died(host(), *map(passed, CASES))
    assert {c.verdict for r in report.requirements for c in r.cases} == {Verdict.PASS}
    assert report.outcome is Outcome.INCOMPLETE


def test_a_requirement_passes_in_a_run_that_died_only_with_all_its_cases(host):
    report = died(host(), passed(PER_MODEL))
    assert result(report.requirements, CASES[PER_MODEL]).verdict is Verdict.NOT_RUN


def test_the_case_that_was_running_when_a_run_died_is_not_run(host):
    report = died(host(), running=PER_MODEL)
    cases = result(report.requirements, CASES[PER_MODEL]).cases
    (case,) = [c for c in cases if c.id == PER_MODEL]
    assert (case.verdict, case.message) == (Verdict.NOT_RUN, "died")


def test_a_failure_before_a_run_died_stays_a_failure(host):
    report = died(host(), passed(PER_MODEL, Verdict.FAIL), running=next(iter(CASES)))
    assert report.outcome is Outcome.NONCONFORMANT
