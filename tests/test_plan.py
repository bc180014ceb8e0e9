"""The plan: what runs, what does not apply, and what fails before anything was asked."""

from __future__ import annotations

import dataclasses

import pytest

from conformance.errors import UsageError
from conformance.plan import plan
from conformance.records import (
    Claims,
    Level,
    Oracle,
    Profile,
    Requirement,
    SamplingPolicy,
    Spec,
    Verdict,
)


def requirement(name: str, *needs: str, untestable: str | None = None) -> Requirement:
    return Requirement(
        name, Level.MUST, "s", "s", "1.0", needs, Oracle.RELATION, untestable=untestable
    )


ROWS = (
    requirement("A-001", "logits"),
    requirement("A-002", "logits", "cache"),
    requirement("A-003", "operators"),
    requirement("A-004", untestable="nobody can see it"),
)
PROFILE = Profile("p", "P", (), tuple(r.id for r in ROWS), ("fp32",), ("logits", "cache"))
SMALL = Spec(
    version="1.0",
    requirements={r.id: r for r in ROWS},
    profiles={"p": PROFILE},
    contracts={},
    terms={},
    capabilities=dict.fromkeys(("logits", "cache", "operators"), ""),
    digest="",
)


def planned(*claimed: str, only: tuple[str, ...] = ()) -> list[Verdict | None]:
    return [one.verdict for one in plan(SMALL, PROFILE, Claims(frozenset(claimed)), only)]


@pytest.mark.parametrize(
    ("claimed", "verdicts"),
    [
        (("logits", "cache", "operators"), [None, None, None, Verdict.NOT_APPLICABLE]),
        (("logits", "cache"), [None, None, Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE]),
        (
            ("logits", "operators"),
            [None, Verdict.FAIL, None, Verdict.NOT_APPLICABLE],
        ),
        ((), [Verdict.FAIL, Verdict.FAIL, Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE]),
    ],
)
def test_what_is_demanded_and_not_claimed_fails_and_what_is_optional_does_not_apply(
    claimed, verdicts
):
    assert planned(*claimed) == verdicts


def test_what_was_not_selected_is_not_run_whatever_was_claimed():
    assert planned(only=("A-001",)) == [Verdict.FAIL, *[Verdict.NOT_RUN] * 3]


@pytest.mark.parametrize(
    ("claims", "only", "message"),
    [
        (Claims(frozenset({"logits"}), "fp64"), (), "claims 'fp64'; profile p is stated for fp32"),
        (Claims(frozenset({"logit"})), (), "no capability 'logit'. Did you mean 'logits'"),
        (Claims(frozenset({"logits"})), ("A-005",), "no requirement 'A-005'. Did you mean 'A-004'"),
    ],
    ids=["precision", "capability", "requirement"],
)
def test_what_nobody_defined_is_refused(claims, only, message):
    with pytest.raises(UsageError, match=message):
        plan(SMALL, PROFILE, claims, only)


WITHOUT_PRESENCE = SamplingPolicy(order=("temperature", "top_k"))


def test_a_step_of_sampling_that_a_candidate_does_not_have_does_not_apply():
    row = dataclasses.replace(requirement("A-001", "logits"), steps=("temperature", "presence"))
    standard = dataclasses.replace(SMALL, requirements={**SMALL.requirements, "A-001": row})
    claims = Claims(frozenset({"logits", "cache"}))
    assert plan(standard, PROFILE, claims)[0].runs
    without = dataclasses.replace(claims, sampling=WITHOUT_PRESENCE)
    found = plan(standard, PROFILE, without)[0]
    assert (found.verdict, found.reason) == (
        Verdict.NOT_APPLICABLE,
        "sampling step presence is not claimed",
    )


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (SamplingPolicy(order=("temprature",)), "'temprature'. Did you mean 'temperature'"),
        (SamplingPolicy(order=("top_k", "top_k")), "each step once"),
        (SamplingPolicy(top_k_ties="first"), "no policy of ties 'first'"),
        (SamplingPolicy(presence_sees="prompt"), "penalties see 'prompt'"),
        (SamplingPolicy(last_tokens=-1), "over the last -1 tokens"),
    ],
    ids=["step", "twice", "ties", "seen", "last"],
)
def test_a_policy_of_sampling_that_nobody_defined_is_refused(policy, message):
    claims = Claims(frozenset({"logits"}), sampling=policy)
    with pytest.raises(UsageError, match=message):
        plan(SMALL, PROFILE, claims)


def test_a_union_asks_for_nothing_at_a_precision_that_its_part_is_not_stated_for():
    near = dataclasses.replace(PROFILE, name="near", requirements=("A-001",), models=("m",))
    far = dataclasses.replace(near, name="far", requirements=("A-002",), precisions=("bf16",))
    both = dataclasses.replace(
        PROFILE,
        requirements=("A-001", "A-002"),
        models=("m",),
        precisions=("fp32", "bf16"),
        demands=(),
        includes=(near, far),
    )
    first, second = plan(SMALL, both, Claims(frozenset({"logits", "cache"})))
    assert (first.verdict, first.models) == (None, ("m",))
    assert second.verdict is Verdict.NOT_APPLICABLE
    assert second.reason == "only far asks for it, which is not stated for fp32"


def test_a_requirement_outside_the_profile_is_refused():
    other = requirement("B-001")
    known = {**SMALL.requirements, "B-001": other}
    standard = dataclasses.replace(SMALL, requirements=known)
    with pytest.raises(UsageError, match="B-001: not part of profile p"):
        plan(standard, PROFILE, Claims(frozenset()), ("B-001",))
