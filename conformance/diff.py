"""What got worse from one run to another: verdicts, evaluation and headroom. Runs nothing.

What the new run was not asked to do, a partial selection or a replay, is no change. Only what both
runs evaluated is compared by headroom, and growth that honest runs show from one to
the next is not worse. Two rules say how much that is:

- **The same inputs** in both runs: the frozen corpus, whatever the seed, and all of a run's inputs
  where seed, suite and generator are the same. The RMS on the corpus is worse beyond 1.2 times the
  old one: ten correct fp32 engines lie between 0.97 and 1.16 noise units, so a smaller growth is
  another order of summation. Any other measurement, a largest error, is worse when it has more than
  doubled and grown by more than a tenth of its limit.
- **Other inputs**: worse when it has more than doubled and grown by more than half of its limit.
  The largest error of twenty generated inputs says little more: over thirteen runs of two correct
  engines (ONNX Runtime, PyTorch) with thirteen seeds, an unchanged engine's grew up to fivefold,
  and by up to 0.46 of the limit. Give both runs one ``--seed`` for the finer rule.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tabulate import tabulate

from conformance.errors import UsageError
from conformance.records import Verdict
from conformance.verdicts import NOT_SELECTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.records import CaseResult, Measurement, Report, RequirementResult

_RMS_GROWTH = 1.2
_GROWTH = 2.0
_RISE_SAME_INPUTS = 0.1
_RISE_OTHER_INPUTS = 0.5

_EVALUATED = (Verdict.PASS, Verdict.FAIL)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that got worse."""

    requirement: str
    what: str
    """``verdict`` of the requirement, the id of a case, or a case with its metric."""
    old: str
    new: str


def diff(old: Report, new: Report) -> tuple[Change, ...]:
    """Return what is worse in ``new`` than in ``old``, in the order of the profile.

    Raises:
        UsageError: the runs are not about the same thing, so that no difference would mean
            anything; the message names each point on which they differ.
    """
    _check_comparable(old, new)
    before = {result.requirement.id: result for result in old.requirements}
    same_inputs = _inputs(old) == _inputs(new)
    return tuple(
        change
        for result in new.requirements
        if result.requirement.id in before and result.reason != NOT_SELECTED
        for change in _of_requirement(
            _asked(before[result.requirement.id], result, new), result, same=same_inputs
        )
    )


def render(changes: tuple[Change, ...]) -> str:
    """Return the changes as a table."""
    if not changes:
        return "nothing got worse"
    rows = [(c.requirement, c.what, c.old, c.new) for c in changes]
    head = ("requirement", "what got worse", "old", "new")
    return tabulate(rows, head, tablefmt="simple", disable_numparse=True)


def _check_comparable(old: Report, new: Report) -> None:
    differences = [
        f"  {name}: {_told(one, other)}"
        for (name, one), (_, other) in zip(_subject(old), _subject(new), strict=True)
        if one != other
    ]
    differences += _other_yardsticks(old, new)
    if differences:
        raise UsageError("\n".join(["these runs cannot be compared; they differ in", *differences]))


def _subject(report: Report) -> list[tuple[str, object]]:
    """Return what two runs have to share."""
    models = {model.name: model.digest[:12] for model in report.models}
    return [
        ("profile", report.profile),
        ("standard (requirement set)", standard_of(report)),
        ("requirements listed", sorted(r.requirement.id for r in report.requirements)),
        ("models", ", ".join(f"{name} ({digest})" for name, digest in sorted(models.items()))),
        ("precision contract", report.contract),
        ("contract held against", report.against and report.against.contract),
    ]


def standard_of(report: Report) -> str:
    """Return the standard that a run was held against: its version, and which data that was."""
    return f"{report.suite.get('spec')} ({report.suite.get('spec_digest', 'none')[:12]})"


def _told(one: object, other: object) -> str:
    if isinstance(one, list) and isinstance(other, list):
        only = ", ".join(sorted(set(one) ^ set(other)))
        return f"{only} in one of them alone"
    one, other = getattr(one, "name", one), getattr(other, "name", other)
    if one == other:
        return f"{one}, which is defined differently in the two"
    return f"{one or 'none'} and {other or 'none'}"


def _other_yardsticks(old: Report, new: Report) -> list[str]:
    """Tell of noise units too far apart to come from one corpus; all it records is the unit."""
    units = {model.name: model.noise for model in old.models}
    found = []
    for model in new.models:
        one, other = units.get(model.name), model.noise
        if one is None or other is None:
            continue
        apart = abs(one.rms - other.rms) > max(one.spread, other.spread) * one.rms
        if one.positions != other.positions or apart:
            text = f"{one.rms:.3g} over {one.positions} and {other.rms:.3g} over {other.positions}"
            found.append(f"  corpus or noise unit of {model.name}: {text} positions")
    return found


def _inputs(report: Report) -> tuple[object, ...]:
    """Return what determines the generated inputs of a run."""
    return report.run.seed, report.suite.get("digest"), report.environment.get("hypothesis")


def _asked(old: RequirementResult, new: RequirementResult, run: Report) -> RequirementResult:
    """Return an old result without the cases that a partial run, such as a replay, left out.

    A complete run lists every case that it owes, so that one that is not there is gone.
    """
    if not run.run.partial or not new.cases:
        return old
    known = {case.id for case in new.cases}
    return dataclasses.replace(old, cases=tuple(case for case in old.cases if case.id in known))


def _of_requirement(
    old: RequirementResult, new: RequirementResult, *, same: bool
) -> Iterator[Change]:
    identifier = new.requirement.id
    found = []
    if new.cases:
        later = {case.id: case for case in new.cases}
        for case in old.cases:
            found += _of_case(identifier, case, later.get(case.id), same=same)
        known = {case.id for case in old.cases}
        found += [
            Change(identifier, case.id, "no such case", _verdict(case.verdict))
            for case in new.cases
            if case.id not in known and case.verdict is Verdict.FAIL
        ]
    if not found and _is_worse(old.verdict, new.verdict):
        now = _verdict(new.verdict) + (f": {new.reason}" if new.reason else "")
        found = [Change(identifier, "verdict", _verdict(old.verdict), now)]
    yield from found


def _of_case(
    requirement: str, old: CaseResult, new: CaseResult | None, *, same: bool
) -> list[Change]:
    if new is None:
        if old.verdict not in _EVALUATED:
            return []
        return [Change(requirement, old.id, _verdict(old.verdict), "no such case: not evaluated")]
    if _is_worse(old.verdict, new.verdict):
        return [Change(requirement, old.id, _verdict(old.verdict), _verdict(new.verdict))]
    if new.verdict not in _EVALUATED or old.verdict not in _EVALUATED:
        return []
    now = {(m.metric, m.unit): m for m in new.measurements}
    # Only the frozen corpus is judged by an RMS: such a case has the same inputs in every run.
    fixed = same or any(m.metric == "rms" for m in old.measurements)
    return [
        Change(
            requirement, f"{old.id} ({m.metric})", _measured(m), _measured(now[m.metric, m.unit])
        )
        for m in old.measurements
        if (m.metric, m.unit) in now and _has_grown(m, now[m.metric, m.unit], fixed=fixed)
    ]


def _is_worse(old: Verdict, new: Verdict) -> bool:
    """Return whether a verdict got worse: a failure that is new, or nothing where there was one."""
    if new is Verdict.FAIL:
        return old is not Verdict.FAIL
    return old in _EVALUATED and new not in _EVALUATED


def _has_grown(old: Measurement, new: Measurement, *, fixed: bool) -> bool:
    """Return whether an error grew by more than honest runs differ; see the module's docstring."""
    before, after = _used(old), _used(new)
    if not after > before:
        return False
    if new.metric == "rms":
        return after > _RMS_GROWTH * before
    rise = _RISE_SAME_INPUTS if fixed else _RISE_OTHER_INPUTS
    return after > _GROWTH * before and after - before > rise


def _used(measurement: Measurement) -> float:
    """Return the share of its limit that a measurement used up; NaN is beyond any."""
    used = 1.0 - measurement.headroom
    return math.inf if math.isnan(used) else used


def _measured(measurement: Measurement) -> str:
    seen = f"{measurement.observed:.3g} {measurement.unit}"
    return f"{seen}, {_used(measurement):.0%} of the limit"


def _verdict(verdict: Verdict) -> str:
    return verdict.name.replace("_", " ")
