"""The decision table, entry by entry and for any mixture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.errors import (
    CandidateCrashed,
    CandidateRaised,
    CandidateTimeout,
    MalformedOutput,
    Nonconformity,
    NotInBuild,
    RestartsSpent,
    Unsupported,
    UsageError,
)
from conformance.records import (
    Level,
    Measurement,
    Oracle,
    Outcome,
    Requirement,
    RequirementResult,
    Verdict,
)
from conformance.verdicts import EXIT_CODES, combine, counts, outcome_of, verdict_of

WRONG = Nonconformity(Measurement("max", 5.0, 4.0, "noise units", "logits[0, 0, 0]", 1))


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (None, (Verdict.PASS, False)),
        (WRONG, (Verdict.FAIL, False)),
        (CandidateRaised(""), (Verdict.FAIL, False)),
        (CandidateCrashed(""), (Verdict.FAIL, False)),
        (CandidateTimeout(""), (Verdict.FAIL, False)),
        (MalformedOutput(""), (Verdict.FAIL, False)),
        (Unsupported(""), (Verdict.FAIL, False)),
        (RestartsSpent(""), (Verdict.NOT_RUN, False)),
        (NotInBuild(""), (Verdict.NOT_APPLICABLE, False)),
        (AssertionError("ours"), (Verdict.ERROR, False)),
        (UsageError(""), (Verdict.ERROR, False)),
        (ZeroDivisionError(), (Verdict.ERROR, False)),
        (pytest.skip.Exception("excuse"), (Verdict.ERROR, False)),
        (pytest.xfail.Exception("excuse"), (Verdict.ERROR, False)),
        (ExceptionGroup("flaky", [WRONG, ValueError()]), (Verdict.FAIL, True)),
        (ExceptionGroup("flaky", [ValueError()]), (Verdict.INCONCLUSIVE, True)),
    ],
)
def test_what_happened_decides_the_verdict(error, verdict):
    assert verdict_of(error) == verdict


verdicts = st.sampled_from(Verdict)


def result(level: Level, verdict: Verdict, waiver: str | None = None) -> RequirementResult:
    requirement = Requirement("TEST-001", level, "s", "s", "1.0", (), Oracle.SCHEMA)
    return RequirementResult(requirement, verdict, waiver=waiver)


results = st.lists(
    st.builds(result, st.sampled_from(Level), verdicts, st.sampled_from([None, None, "W-1"]))
)


def table(found: list[RequirementResult], *, partial: bool) -> Outcome:
    """Return the outcome by the rules, written down a second time and in other words."""
    musts = [r for r in found if r.requirement.level == "MUST"]
    names = {(r.verdict.name, r.waiver is not None) for r in musts}
    if ("FAIL", False) in names:
        return Outcome.NONCONFORMANT
    unsettled = {"NOT_RUN", "INCONCLUSIVE", "ERROR"}
    if partial or any(name in unsettled for name, _ in names):
        return Outcome.INCOMPLETE
    if not any(name == "PASS" for name, _ in names):
        return Outcome.INCOMPLETE
    return Outcome.CONDITIONAL if ("FAIL", True) in names else Outcome.CONFORMANT


PASS = result(Level.MUST, Verdict.PASS)


@pytest.mark.parametrize(
    ("others", "outcome"),
    [
        ([], Outcome.CONFORMANT),
        ([result(Level.MUST, Verdict.NOT_APPLICABLE)], Outcome.CONFORMANT),
        ([result(Level.SHOULD, Verdict.FAIL)], Outcome.CONFORMANT),
        ([result(Level.SHOULD, Verdict.NOT_RUN)], Outcome.CONFORMANT),
        ([result(Level.MUST, Verdict.NOT_RUN)], Outcome.INCOMPLETE),
        ([result(Level.MUST, Verdict.INCONCLUSIVE)], Outcome.INCOMPLETE),
        ([result(Level.MUST, Verdict.ERROR)], Outcome.INCOMPLETE),
        ([result(Level.MUST, Verdict.NOT_RUN, "W-1")], Outcome.INCOMPLETE),
        ([result(Level.MUST, Verdict.ERROR, "W-1")], Outcome.INCOMPLETE),
        ([result(Level.MUST, Verdict.FAIL, "W-1")], Outcome.CONDITIONAL),
        ([result(Level.MUST, Verdict.FAIL)], Outcome.NONCONFORMANT),
        (
            [result(Level.MUST, Verdict.FAIL), result(Level.MUST, Verdict.FAIL, "W-1")],
            Outcome.NONCONFORMANT,
        ),
    ],
)
def test_one_requirement_beside_one_that_passed_decides_the_outcome(others, outcome):
    assert outcome_of([PASS, *others], partial=False) is outcome
    partial = Outcome.NONCONFORMANT if outcome is Outcome.NONCONFORMANT else Outcome.INCOMPLETE
    assert outcome_of([*others, PASS], partial=True) is partial


@pytest.mark.parametrize(
    "found",
    [
        [],
        [result(Level.MUST, Verdict.NOT_APPLICABLE)],
        [result(Level.SHOULD, Verdict.PASS)],
        [result(Level.MUST, Verdict.FAIL, "W-1")],
    ],
    ids=["empty", "nothing applies", "nothing binding", "nothing passed"],
)
def test_a_run_in_which_nothing_binding_passed_is_incomplete(found):
    assert outcome_of(found, partial=False) is Outcome.INCOMPLETE


@given(results, st.booleans())
def test_the_outcome_is_the_tables_for_any_mixture(found, partial):
    assert outcome_of(found, partial=partial) == table(found, partial=partial)


@given(results)
def test_nothing_unevaluated_becomes_conformant(found):
    musts = [r for r in found if r.requirement.level is Level.MUST]
    unevaluated = (Verdict.NOT_RUN, Verdict.INCONCLUSIVE, Verdict.ERROR)
    if not musts or any(r.verdict in unevaluated for r in musts):
        assert outcome_of(found, partial=False) not in (Outcome.CONFORMANT, Outcome.CONDITIONAL)


@given(st.lists(verdicts))
def test_a_fault_of_ours_never_hides_a_failure_of_the_candidates(found):
    if Verdict.FAIL in found:
        assert combine(found) is Verdict.FAIL


@pytest.mark.parametrize(
    "verdict", [Verdict.NOT_RUN, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]
)
def test_one_case_that_did_not_pass_keeps_its_requirement_from_passing(verdict):
    assert combine([Verdict.PASS, verdict, Verdict.PASS]) is verdict


def test_no_case_at_all_is_not_run():
    assert combine([]) is Verdict.NOT_RUN


def test_the_order_of_verdicts_is_the_standards():
    assert [v.name for v in sorted(Verdict)] == [
        "NOT_APPLICABLE",
        "PASS",
        "NOT_RUN",
        "INCONCLUSIVE",
        "ERROR",
        "FAIL",
    ]


def test_exit_codes():
    assert EXIT_CODES == {
        Outcome.CONFORMANT: 0,
        Outcome.CONDITIONAL: 0,
        Outcome.NONCONFORMANT: 1,
        Outcome.INCOMPLETE: 2,
    }


@given(results)
def test_counts_list_every_verdict_and_add_up(found):
    counted = counts(found)
    assert set(counted) == {verdict.name for verdict in Verdict}
    assert sum(counted.values()) == len(found)
