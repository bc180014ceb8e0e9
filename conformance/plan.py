"""What would run, what would not, and why: decided before anything is asked of the candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tabulate import tabulate

from conformance.errors import UsageError, did_you_mean
from conformance.records import SamplingPolicy, Verdict
from conformance.records.sampling import SEEN, STEPS, TIES
from conformance.records.tokenizer import NORMALISATIONS, PREFIX_SPACES, UNITS
from conformance.verdicts import NOT_SELECTED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from conformance.catalogue import Check
    from conformance.records import Claims, Profile, Requirement, Spec, TokenizerFacts


ALONE = "it is about two candidates, and --against names no second one"


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run will do about one requirement."""

    requirement: Requirement
    verdict: Verdict | None
    """The verdict that stands before the run; None where the checks decide."""
    reason: str = ""
    models: tuple[str, ...] | None = None
    """The models of the run on which it is decided; None for all of them."""

    @property
    def runs(self) -> bool:
        """Whether its checks are run."""
        return self.verdict is None


def plan(
    spec: Spec,
    profile: Profile,
    claims: Claims,
    only: Collection[str] = (),
    against: Claims | None = None,
) -> tuple[Planned, ...]:
    """Plan every requirement of a profile for a candidate with these claims.

    Args:
        spec: the standard.
        profile: the profile of the run.
        claims: what the candidate says that it supports.
        only: ids to which the run is restricted; empty for no restriction.
        against: what the second candidate says that it supports; None where there is none.

    Raises:
        UsageError: an id in ``only`` or a claimed capability is unknown, or a claimed precision is
            none of the profile's.
    """
    for said in (claims, against):
        if said is not None:
            _check_claims(said, spec, profile)
    _check_known("requirement", only, spec.requirements)
    outside = sorted(set(only) - set(profile.requirements))
    if outside:
        raise UsageError(f"{', '.join(outside)}: not part of profile {profile.name}")
    return tuple(
        _planned(spec.requirements[name], profile, claims, only, against)
        for name in profile.requirements
    )


def _check_claims(claims: Claims, spec: Spec, profile: Profile) -> None:
    _check_known("capability", claims.capabilities, spec.capabilities)
    if claims.precision not in profile.precisions:
        raise UsageError(
            f"the candidate claims {claims.precision!r}; profile {profile.name} is stated for "
            f"{', '.join(profile.precisions)}"
        )
    policy = claims.sampling or SamplingPolicy()
    _check_known("step of sampling", policy.order, STEPS)
    _check_known("policy of ties", [policy.top_k_ties], TIES)
    _check_known(
        "policy of what penalties see", [policy.repetition_sees, policy.presence_sees], SEEN
    )
    if len(set(policy.order)) != len(policy.order) or policy.last_tokens < 0:
        raise UsageError(
            f"the candidate claims the sampling steps {', '.join(policy.order)} over the last "
            f"{policy.last_tokens} tokens; wanted each step once, and a number from 0"
        )

    if claims.tokenizer is not None:
        _check_facts(claims.tokenizer)


def _check_facts(facts: TokenizerFacts) -> None:
    """Refuse what nobody defined of a tokenizer, and special tokens outside its ids."""
    _check_known("normalisation", [facts.normalisation], NORMALISATIONS)
    _check_known("policy of the prefix space", [facts.prefix_space], PREFIX_SPACES)
    _check_known("unit of offsets", [facts.offsets], UNITS)
    ends = {one for one in (facts.bos, facts.eos) if one is not None}
    special = set(facts.special.values())
    if not ends <= special or not all(0 <= one < facts.size for one in special):
        raise UsageError(
            f"the candidate claims a tokenizer of {facts.size} ids, the special tokens "
            f"{sorted(special)} and the ends {sorted(ends)}; wanted special tokens among the ids, "
            "and ends among the special tokens"
        )


def describe(
    planned: Sequence[Planned], checks: Sequence[Check], past: Mapping[str, float], *, models: int
) -> str:
    """Return a plan as a table: what would run, what not and why, how long it took last time.

    Args:
        planned: the plan of every requirement of a profile.
        checks: all checks of the suite.
        past: seconds of each case in the last run, by case id; empty where there was none.
        models: how many models the run has.
    """
    rows = []
    for one in planned:
        deciding = [check for check in checks if check.requirement == one.requirement.id]
        names = {check.name for check in deciding}
        spent = [seconds for case, seconds in past.items() if case.partition("/")[0] in names]
        took = f"{sum(spent):.1f} s" if spent else ""
        rows.append((one.requirement.id, _what(one, deciding, models), took))
    table = tabulate(rows, ("requirement", "plan", "last time"), disable_numparse=True)
    running = sum(one.runs for one in planned)
    total = f"{running} of {len(planned)} requirements would be checked"
    time = f"last time took {sum(past.values()):.0f} s" if past else "no earlier run to time it by"
    return f"{table}\n\n{total}; {time}"


def _what(planned: Planned, deciding: Sequence[Check], models: int) -> str:
    if planned.verdict is not None:
        return f"{planned.verdict.name.replace('_', ' ')}: {planned.reason}"
    on_models = any(check.per_model for check in deciding) and models > 1
    number = f"{len(deciding)} check{'s' * (len(deciding) != 1)}"
    return f"{number} on each of {models} models" if on_models else number


def _planned(
    requirement: Requirement,
    profile: Profile,
    claims: Claims,
    only: Collection[str],
    against: Claims | None,
) -> Planned:
    if only and requirement.id not in only:
        return Planned(requirement, Verdict.NOT_RUN, NOT_SELECTED)
    if outside := _outside(requirement, profile, claims, against):
        return Planned(requirement, Verdict.NOT_APPLICABLE, outside)
    missing, by = unclaimed(requirement, claims), ""
    if not missing and requirement.two_candidates and against is not None:
        missing, by = unclaimed(requirement, against), " by the second candidate"
    if missing in profile.demands:
        reason = f"profile {profile.name} demands {missing}, which is not claimed{by}"
        return Planned(requirement, Verdict.FAIL, reason)
    if missing:
        return Planned(requirement, Verdict.NOT_APPLICABLE, f"{missing} is not claimed{by}")
    models = profile.models_of(requirement.id, claims.precision) if profile.includes else None
    return Planned(requirement, None, models=models)


def _outside(
    requirement: Requirement, profile: Profile, claims: Claims, against: Claims | None
) -> str:
    """Return why nobody could be asked for a requirement in a run like this; empty if they can."""
    if requirement.untestable:
        return requirement.untestable
    if requirement.two_candidates and against is None:
        return ALONE
    if profile.having(requirement.id, claims.precision):
        return ""
    asking = " and ".join(part.name for part in profile.having(requirement.id))
    return f"only {asking} asks for it, which is not stated for {claims.precision}"


def unclaimed(requirement: Requirement, claims: Claims) -> str:
    """Return what a requirement needs and a candidate does not claim; empty where there is none."""
    for capability in requirement.needs:
        if capability not in claims.capabilities:
            return capability
    operator = (requirement.operator or "").partition("-")[0]
    if operator and claims.operators is not None and operator not in claims.operators:
        return f"operator {operator}"
    steps = (claims.sampling or SamplingPolicy()).order
    return next((f"sampling step {step}" for step in requirement.steps if step not in steps), "")


def _check_known(kind: str, names: Collection[str], known: Collection[str]) -> None:
    for name in sorted(names):
        if name not in known:
            raise UsageError(f"there is no {kind} {name!r}.{did_you_mean(name, known)}")
