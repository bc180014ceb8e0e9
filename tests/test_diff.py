"""What got worse between two runs: by verdict, by evaluation and by headroom."""

from __future__ import annotations

import dataclasses
import math

import pytest

from conformance import diff
from conformance.errors import UsageError
from conformance.records import (
    CandidateInfo,
    CaseResult,
    Claims,
    Contract,
    Level,
    Measurement,
    ModelRecord,
    NoiseUnit,
    Oracle,
    Outcome,
    Report,
    Requirement,
    RequirementResult,
    Run,
    Verdict,
)

CONTRACT = Contract(
    name="fp32",
    input="float32",
    weight="float32",
    accumulation="float32",
    score="float32",
    probability="float32",
    intermediate="float32",
    phase="float32",
    output="float32",
    rounding="nearest-even",
    flush_to_zero=False,
    tf32=False,
    noise_rms=3.0,
    noise_max=4.0,
    basis="of this test",
)
UNIT = NoiseUnit(rms=5e-6, max=6e-5, spread=0.1, members=8, positions=298, contract="fp32")
RUN = Run("acme", (), 1, "2026-01-01T00:00:00Z", 1.0, hermetic=True, isolated=False, partial=False)


def requirement(identifier):
    return Requirement(identifier, Level.MUST, "It is.", "here", "1.0", (), Oracle.REFERENCE)


def case(verdict=Verdict.PASS, *measurements, name="test_it", owner="ATTN-001"):
    return CaseResult(name, owner, verdict, 1.0, measurements=measurements)


def result(verdict, *cases, reason="", owner="ATTN-001"):
    return RequirementResult(requirement(owner), verdict, cases, reason)


def report(*results, seed=1, digest="d" * 64, **changes):
    made = Report(
        suite={"version": "0.1.0", "spec": "1.0", "spec_digest": "5" * 64, "digest": digest},
        candidate=CandidateInfo("acme", "1", "acme", "cpu", Claims(frozenset())),
        contract=CONTRACT,
        profile="decoder",
        models=(ModelRecord("llama-gqa", "a" * 64, "supplied", UNIT),),
        run=dataclasses.replace(RUN, seed=seed),
        outcome=Outcome.CONFORMANT,
        requirements=results,
        environment={"hypothesis": "6"},
    )
    return dataclasses.replace(made, **changes)


def one(verdict):
    """Return a report about one requirement with one case."""
    return report(result(verdict, case(verdict)))


def measured(observed, *, metric="max", limit=4.0, seed=1, **changes):
    """Return a report with one passed case that measured something."""
    verdict = Verdict.PASS if observed <= limit else Verdict.FAIL
    found = Measurement(metric, observed, limit, "noise units", "logits[0, 0, 0]", 8)
    return report(result(verdict, case(verdict, found)), seed=seed, **changes)


def test_a_run_is_not_worse_than_itself():
    for verdict in Verdict:
        assert diff.diff(one(verdict), one(verdict)) == ()
    for observed in (0.0, 1.0, 9.0, math.inf, math.nan):
        assert diff.diff(measured(observed), measured(observed)) == ()


@pytest.mark.parametrize("old", Verdict)
@pytest.mark.parametrize("new", Verdict)
def test_a_new_failure_and_what_is_no_longer_evaluated_are_worse(old, new):
    failed = new is Verdict.FAIL and old is not Verdict.FAIL
    lost = old in (Verdict.PASS, Verdict.FAIL) and new not in (Verdict.PASS, Verdict.FAIL)
    assert bool(diff.diff(one(old), one(new))) == (failed or lost)


def test_a_change_names_requirement_and_case_and_both_verdicts():
    (change,) = diff.diff(one(Verdict.PASS), one(Verdict.NOT_RUN))
    assert change == diff.Change("ATTN-001", "test_it", "PASS", "NOT RUN")


def test_a_requirement_that_is_no_longer_applicable_is_worse_and_says_why():
    new = report(result(Verdict.NOT_APPLICABLE, reason="cache is not claimed"))
    (change,) = diff.diff(one(Verdict.PASS), new)
    assert change.what == "verdict"
    assert change.new == "NOT APPLICABLE: cache is not claimed"


def test_a_case_that_is_gone_is_worse_beside_others_that_pass():
    both = report(result(Verdict.PASS, case(), case(name="test_it/half")))
    (change,) = diff.diff(both, one(Verdict.PASS))
    assert (change.what, change.old) == ("test_it/half", "PASS")
    assert "not evaluated" in change.new


PARTIAL = dataclasses.replace(RUN, partial=True)


def test_what_a_partial_run_was_not_asked_to_do_is_not_worse():
    unselected = result(Verdict.NOT_RUN, reason="not selected", owner="ATTN-002")
    passed = case(owner="ATTN-002")
    old = report(result(Verdict.PASS, case()), result(Verdict.PASS, passed, owner="ATTN-002"))
    new = report(result(Verdict.PASS, case()), unselected, run=PARTIAL)
    assert diff.diff(old, new) == ()
    died = report(result(Verdict.NOT_RUN, case(Verdict.NOT_RUN)), unselected, run=PARTIAL)
    (change,) = diff.diff(old, died)
    assert (change.requirement, change.new) == ("ATTN-001", "NOT RUN")


def test_a_replay_is_compared_over_its_one_case():
    both = report(result(Verdict.PASS, case(), case(name="test_it/half")))
    assert diff.diff(both, report(result(Verdict.PASS, case()), run=PARTIAL)) == ()
    (change,) = diff.diff(both, report(result(Verdict.FAIL, case(Verdict.FAIL)), run=PARTIAL))
    assert (change.what, change.new) == ("test_it", "FAIL")


def test_a_new_case_that_fails_is_worse():
    wider = report(result(Verdict.FAIL, case(), case(Verdict.FAIL, name="test_it/half")))
    (change,) = diff.diff(one(Verdict.PASS), wider)
    assert (change.what, change.new) == ("test_it/half", "FAIL")


def test_one_bad_case_hides_no_other():
    old = report(result(Verdict.FAIL, case(Verdict.FAIL), case(name="test_it/half")))
    new = report(result(Verdict.FAIL, *[case(Verdict.FAIL, name=c.id) for c in _cases(old)]))
    (change,) = diff.diff(old, new)
    assert change.what == "test_it/half"


def _cases(of):
    return [case for result in of.requirements for case in result.cases]


@pytest.mark.parametrize(
    ("metric", "old", "new", "worse"),
    [
        ("rms", 1.0, 1.16, False),  # another order of summation
        ("rms", 1.0, 1.25, True),
        ("rms", 1.25, 1.0, False),
        ("max", 1.0, 1.9, False),
        ("max", 1.0, 2.1, True),
        ("max", 0.1, 0.3, False),  # tripled, and still far from the limit
        ("max", 1.0, math.nan, True),
        ("max", 9.0, 30.0, True),  # failed before, and is further off now
    ],
)
def test_growth_on_the_same_inputs_is_held_against_what_honest_engines_differ_by(
    metric, old, new, worse
):
    assert bool(diff.diff(measured(old, metric=metric), measured(new, metric=metric))) == worse


@pytest.mark.parametrize(
    ("old", "new", "worse"),
    [(0.4, 2.2, False), (1.0, 2.9, False), (1.0, 3.1, True), (3.0, 3.9, False)],
)
def test_growth_on_other_inputs_has_to_take_half_of_the_limit(old, new, worse):
    assert bool(diff.diff(measured(old, seed=1), measured(new, seed=2))) == worse
    other_suite = measured(new, digest="e" * 64)  # it may draw other inputs from the same seed
    assert bool(diff.diff(measured(old), other_suite)) == worse


def test_the_corpus_is_the_same_whatever_the_seed():
    def of(seed, rms, largest):
        found = [
            Measurement("rms", rms, 3.0, "noise units", "", 8),
            Measurement("max", largest, 4.0, "noise units", "logits[0, 0, 0]", 8),
        ]
        return report(result(Verdict.PASS, case(Verdict.PASS, *found)), seed=seed)

    (change,) = diff.diff(of(1, 1.0, 1.0), of(2, 1.3, 1.5))
    assert change.what == "test_it (rms)"
    assert change.old == "1 noise units, 33% of the limit"
    (change,) = diff.diff(of(1, 1.0, 1.0), of(2, 1.1, 2.5))
    assert change.what == "test_it (max)"


def test_what_was_not_executed_in_both_is_not_compared_by_headroom():
    found = Measurement("rms", 1.0, 3.0, "noise units", "", 8)
    broken = case(Verdict.ERROR, dataclasses.replace(found, observed=0.1))
    assert not diff.diff(report(result(Verdict.ERROR, broken)), measured(1.0, metric="rms"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile": "release"}, ["profile", "decoder and release"]),
        ({"suite": {"spec": "1.1", "spec_digest": "6" * 64}}, ["requirement set", "1.1 (6666"]),
        ({"contract": dataclasses.replace(CONTRACT, name="bf16")}, ["contract", "fp32 and bf16"]),
        (
            {"contract": dataclasses.replace(CONTRACT, noise_rms=9.0)},
            ["contract", "defined differently"],
        ),
        (
            {"models": (ModelRecord("llama-gqa", "b" * 64, "supplied", UNIT),)},
            ["models", "aaaa", "bbbb"],
        ),
        (
            {
                "models": (
                    ModelRecord(
                        "llama-gqa", "a" * 64, "supplied", dataclasses.replace(UNIT, rms=1e-5)
                    ),
                )
            },
            ["corpus", "llama-gqa", "5e-06", "1e-05"],
        ),
        ({"requirements": (result(Verdict.PASS, owner="X-001"),)}, ["ATTN-001, X-001"]),
    ],
)
def test_runs_about_different_things_are_not_compared(changes, words):
    old = one(Verdict.PASS)
    with pytest.raises(UsageError) as refused:
        diff.diff(old, dataclasses.replace(old, **changes))
    assert "cannot be compared" in str(refused.value)
    assert all(word in str(refused.value) for word in words)
    assert len(str(refused.value).splitlines()) == 2, "only what differs is named"


def test_every_difference_is_named_at_once():
    old = one(Verdict.PASS)
    new = dataclasses.replace(old, profile="release", models=())
    with pytest.raises(UsageError, match=r"(?s)profile.*models"):
        diff.diff(old, new)


def test_a_noise_unit_that_nobody_asked_for_is_no_difference():
    old = one(Verdict.PASS)
    unasked = (dataclasses.replace(old.models[0], noise=None),)
    assert diff.diff(old, dataclasses.replace(old, models=unasked)) == ()


def test_the_table_has_a_row_for_each_change():
    changes = diff.diff(one(Verdict.PASS), one(Verdict.FAIL))
    lines = diff.render(changes).splitlines()
    assert lines[0].split() == ["requirement", "what", "got", "worse", "old", "new"]
    assert lines[2].split() == ["ATTN-001", "test_it", "PASS", "FAIL"]
    assert diff.render(()) == "nothing got worse"
