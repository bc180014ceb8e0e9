"""What every format tells of a report, in the same words. No markup and no escaping here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from conformance.records import Outcome, Verdict
from conformance.verdicts import NOT_SELECTED, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.records import (
        CandidateInfo,
        CaseResult,
        Contract,
        Measurement,
        Report,
        RequirementResult,
    )

UNEVALUATED = (
    Verdict.NOT_APPLICABLE,
    Verdict.NOT_RUN,
    Verdict.INCONCLUSIVE,
    Verdict.ERROR,
)
"""Verdicts that say nothing about the candidate; the last two are told as failures as well."""
BAD = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
_GROUPED = (1e3, 1e9)
SUPPLIED = "supplied"
_COSTLIEST = 5
"""Requirements that are named for the time that they took."""
FLAKY = "flaky: the same input was answered differently"


def word(verdict: Verdict) -> str:
    """Return a verdict as it is written in a report: ``NOT RUN``."""
    return verdict.name.replace("_", " ")


def outcome(report: Report) -> str:
    """Return the outcome with what it must never be read without: profile and precision."""
    return f"{report.outcome.value}: {report.profile}, {precision(report)}"


def union(report: Report) -> str:
    """Return of which profiles the run's is the union; empty where it is none."""
    return f"the union of {', '.join(report.includes)}" if report.includes else ""


def precision(report: Report) -> str:
    """Return the claimed precision, with every term that is claimed otherwise than it has it."""
    own = _precision(report.contract, report.candidate)
    if report.against is None:
        return own
    other = _precision(report.against.contract, report.against.candidate)
    return own if own == other else f"{own}, against {other}"


def _precision(contract: Contract, candidate: CandidateInfo) -> str:
    weaker = [f"{spoken(name)} {spoken(v)}" for name, v in candidate.claims.contract.items()]
    return f"{contract.name} with {', '.join(weaker)}" if weaker else contract.name


def contract(report: Report) -> list[tuple[str, str]]:
    """Return the terms of the precision contract, grouped, as label and text."""
    return [("claimed", precision(report)), *terms(report.contract)]


def terms(c: Contract) -> list[tuple[str, str]]:
    """Return the terms of a contract, grouped, as label and text."""
    types = (
        f"{c.input} in, {c.weight} weights, {c.output} out; {c.accumulation} sums, {c.score} "
        f"scores, {c.probability} attention weights, {c.intermediate} between, {c.phase} angles"
    )
    rules = (
        f"rounding {c.rounding}, {'flush to zero' if c.flush_to_zero else 'subnormals kept'}, "
        f"{'TF32 allowed' if c.tf32 else 'no TF32'}"
    )
    policies = (
        f"NaN under a mask {c.nan_under_mask}; a query without keys gives {c.query_without_keys}; "
        f"a loss without labels is {c.loss_without_labels}"
    )
    limits = "none in noise units"
    if c.noise_rms is not None:
        limits = f"{c.noise_rms:g} noise units (RMS), {c.noise_max:g} (largest error)"
    return [
        ("types", types),
        ("rules", rules),
        ("policies", policies),
        ("limits", limits),
        ("basis", c.basis),
    ]


def spoken(term: object) -> str:
    return (
        str(term).lower().replace("_", " ")
        if isinstance(term, bool)
        else str(term).replace("_", " ")
    )


def diagnosis(report: Report, requirement: str) -> dict[str, str]:
    """Return what explains the failure of a requirement, and where it begins, as far as known."""
    own = [one for one in report.diagnoses if one.requirement == requirement]
    begins = [one.divergence.text for one in own if one.divergence]
    told = {"Most like": "; ".join(one.text for one in own), "Begins": "; ".join(begins)}
    return {label: text for label, text in told.items() if text}


def candidate(report: Report) -> str:
    """Return who was tested, in one line."""
    return described(report.candidate)


def against(report: Report) -> str:
    """Return who it was held against, in one line; empty where nobody was."""
    return "" if report.against is None else described(report.against.candidate)


def described(info: CandidateInfo) -> str:
    """Return a candidate in one line."""
    told = f"{info.name} {info.version} on {info.device}"
    more = set(info.runtime.split()) - set(told.split())  # most runtimes only repeat the three
    return f"{told} ({info.runtime})" if more else told


def models(report: Report) -> str:
    """Return the models of the run, and which of their builds were made by the suite."""
    builds: dict[str, list[str]] = {}
    for model in report.models:
        builds.setdefault(model.build, []).append(model.name)
    return "; ".join(
        ", ".join(names) + ("" if build == SUPPLIED else f" (build {build})")
        for build, names in builds.items()
    )


def score(report: Report) -> str:
    """Return how many of the requirements passed, in one sentence."""
    asked = [r for r in report.requirements if r.verdict is not Verdict.NOT_APPLICABLE]
    passed = sum(r.verdict is Verdict.PASS for r in asked)
    if report.run.partial:
        selected = [r for r in report.requirements if r.reason != NOT_SELECTED]
        told = f"{passed} of {len(selected)} selected requirements passed"
        otherwise = outcome_of(selected, partial=False)
        if otherwise in (Outcome.CONFORMANT, Outcome.CONDITIONAL):
            told += "; a partial selection cannot be conformant"
        return told
    return f"{passed} of {len(asked)} applicable requirements passed"


def meaning(report: Report) -> str:
    """Return what the outcome means, in one sentence."""
    return {
        Outcome.CONFORMANT: "Every applicable MUST requirement was evaluated and passed.",
        Outcome.CONDITIONAL: "Every applicable MUST requirement was evaluated; "
        "those that failed are waived.",
        Outcome.NONCONFORMANT: "At least one MUST requirement failed.",
        Outcome.INCOMPLETE: "Not everything was evaluated, and that never counts as passed.",
    }[report.outcome]


def assurance(report: Report) -> tuple[str, str]:
    """Return how far the run can be believed: where the candidate ran, and how pytest was."""
    if report.run.isolated:
        where = "witnessed (the candidate ran in a process of its own)"
    else:
        where = "self-attested (the candidate ran in the suite's process)"
    if report.run.hermetic:
        return where, "hermetic (no setting of the user's reached the checks)"
    return where, "not hermetic (this run cannot be certified)"


def not_evaluated(report: Report) -> dict[tuple[str, str], list[str]]:
    """Return the ids of what was not evaluated, by verdict and reason.

    A requirement that was evaluated on some models alone is listed for the others.
    """
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in report.requirements:
        told = [(word(case.verdict), f"{case.id}: {case.message}") for case in _left_out(result)]
        if result.verdict in UNEVALUATED:
            told = [(word(result.verdict), reason(result))]
        for key in told:
            reasons.setdefault(key, []).append(result.requirement.id)
    return reasons


def _left_out(result: RequirementResult) -> list[CaseResult]:
    return [case for case in result.cases if case.verdict is Verdict.NOT_APPLICABLE]


def reason(result: RequirementResult) -> str:
    """Return why a requirement has no better verdict, where that is known."""
    told = [result.reason, *(case.message for case in bad_cases(result))]
    return next((text for text in told if text), "no reason was recorded")


def bad_cases(result: RequirementResult) -> list[CaseResult]:
    """Return the cases that did not pass, the worst first."""
    found = [case for case in result.cases if case.verdict > Verdict.PASS]
    return sorted(found, key=lambda case: -case.verdict)


def failures(report: Report) -> list[RequirementResult]:
    """Return the requirements that were refuted or could not be decided, the worst first."""
    found = [result for result in report.requirements if result.verdict in BAD]
    return sorted(found, key=lambda r: (-r.verdict, r.requirement.level.value))


def worst(cases: Iterable[CaseResult]) -> Measurement | None:
    """Return the measurement with the least headroom; NaN is least."""
    found = (m for case in cases for m in case.measurements)
    return min(
        found, key=lambda m: -math.inf if math.isnan(m.headroom) else m.headroom, default=None
    )


def figure(result: RequirementResult) -> Measurement | None:
    """Return the measurement that stands for a requirement: what passed by, or what failed by.

    A case that failed without a measurement has none; another's would look like a pass.
    """
    found = worst(result.cases)
    if result.verdict in BAD and found is not None and found.ok:
        return None
    return found


def share(measurement: Measurement) -> float:
    """Return the share of the limit that was used: 0 exact, 1 at the limit; NaN stays NaN."""
    return 1.0 - measurement.headroom


def percent(headroom: float) -> str:
    """Return headroom as a percentage; beyond the limit, how many times the limit was exceeded."""
    if math.isnan(headroom):
        return "none"
    if headroom < 0:
        return f"{number(1 - headroom)} x limit" if math.isfinite(headroom) else "none"
    return f"{headroom:.0%}"


def number(value: float) -> str:
    """Return a measured number with three digits; NaN and infinity by their names.

    Thousands are written out up to a billion: the excess of a failure is read, not computed with.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if _GROUPED[0] <= abs(value) < _GROUPED[1]:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def run_time(report: Report) -> str:
    """Return how long a run took, and who took it; jobs together take more than the run."""
    cases = [case for r in report.requirements for case in r.cases]
    total, together = report.run.duration, sum(map(_taken, report.requirements))
    if together <= total:
        return _time(total, cases)
    return f"{seconds(total)}, in which its jobs took {_time(together, cases)}"


def requirement_time(result: RequirementResult, report: Report) -> str:
    """Return how long a requirement took, its share of the run, and who took it."""
    return f"{_share_of_time(result, report):.0%} of the run: {_time(_taken(result), result.cases)}"


def costliest(report: Report) -> str:
    """Return the requirements that took the most of a run, each with its share; empty for one."""
    ran = [result for result in report.requirements if _taken(result)]
    first = sorted(ran, key=_taken, reverse=True)[:_COSTLIEST]
    told = [f"{one.requirement.id} {_share_of_time(one, report):.0%}" for one in first]
    return ", ".join(told) if len(ran) > 1 else ""


def _share_of_time(result: RequirementResult, report: Report) -> float:
    """Return a requirement's share of the time that all took: jobs work at the same time."""
    whole = sum(map(_taken, report.requirements))
    return _taken(result) / whole if whole else 0.0


def _taken(result: RequirementResult) -> float:
    return sum(case.duration for case in result.cases)


def _time(total: float, cases: Sequence[CaseResult]) -> str:
    own = sum(case.candidate_seconds for case in cases)
    oracle = sum(case.oracle_seconds for case in cases)
    rest = max(0.0, total - own - oracle)
    return (
        f"{seconds(total)}, of which candidate {seconds(own)}, oracle {seconds(oracle)}, "
        f"inputs and judging {seconds(rest)}"
    )


def seconds(duration: float) -> str:
    """Return a duration for people."""
    if duration < 1:
        return f"{duration * 1000:.0f} ms"
    if duration < 120:
        return f"{duration:.0f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"
