"""What every format tells of several runs side by side, in the same words. No markup here."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING

from conformance.records import Verdict
from conformance.report import _facts

if TYPE_CHECKING:
    from conformance.records import Distance, Report, RequirementResult, SideBySide

EXACT = "exact (fp64)"
MEANING = (
    "Each number is the RMS difference of two runs' logits of the frozen corpus, in noise units, "
    "the wider of the two where the precisions differ; of several models, the largest. Honest "
    "candidates of one precision lie about 1 from the exact logits and, since their errors are "
    "independent, at most about 1.5 from each other. Nobody is judged by another candidate: the "
    "distance from the exact logits alone says who is right."
)
STEPS = (1, 2, 10, 100, 10_000, 1_000_000)
"""Distances in noise units at which the colours of a heat map change: within the first two lie
honest candidates of one precision, from the exact logits and from each other."""


def names(several: SideBySide) -> list[str]:
    """Return a short name for each run; two runs of one candidate are numbered."""
    told = [report.run.candidate for report in several.reports]
    return [
        name if told.count(name) == 1 else f"{name} #{told[: i + 1].count(name)}"
        for i, name in enumerate(told)
    ]


def title(several: SideBySide) -> str:
    """Return what is shown, in one line."""
    first = several.reports[0]
    return f"{len(several.reports)} candidates side by side: {first.profile}"


def inputs(several: SideBySide) -> str:
    """Return the inputs that all runs were given, in one sentence."""
    first = several.reports[0]
    models = ", ".join(model.name for model in first.models) or "no model"
    return (
        f"All were given the same inputs: profile {first.profile}, standard "
        f"{first.suite.get('spec', 'unknown')}, {models}, seed {first.run.seed}."
    )


def rows(several: SideBySide) -> list[tuple[RequirementResult, list[RequirementResult]]]:
    """Return each requirement, as the first run has it, with its result in every run."""
    by_id = [{r.requirement.id: r for r in report.requirements} for report in several.reports]
    first = several.reports[0].requirements
    return [(one, [results[one.requirement.id] for results in by_id]) for one in first]


def cell(result: RequirementResult) -> tuple[str, str]:
    """Return a verdict in a word, and how much of the limit was left, where it was measured."""
    worst = _facts.figure(result)
    left = "" if worst is None else _facts.percent(worst.headroom)
    return _facts.word(result.verdict), left


def score(report: Report) -> str:
    """Return passed of applicable, shortly."""
    asked = [r for r in report.requirements if r.verdict is not Verdict.NOT_APPLICABLE]
    return f"{sum(r.verdict is Verdict.PASS for r in asked)} of {len(asked)}"


def distance(found: Distance) -> str:
    """Return a distance for a cell: a number, or a dash where nothing was measured."""
    return "\N{EN DASH}" if found.why else _facts.number(found.units)


def described(found: Distance) -> str:
    """Return a distance in a sentence."""
    if found.why:
        return f"not evaluated: {found.why}"
    of = f" of {found.unit_of}" if found.unit_of else ""
    where = f", on {found.model}" if found.model else ""
    return f"{_facts.number(found.units)} noise units{of}{where}"


def heat(found: Distance) -> int | None:
    """Return the step of the colour scale, 0 the nearest; None where nothing was measured."""
    if found.why:
        return None
    if math.isnan(found.units):
        return len(STEPS)
    return bisect.bisect_left(STEPS, found.units)


def legend() -> list[str]:
    """Return what each step of the colour scale stands for, the nearest first."""
    return [*(f"to {step:,}" for step in STEPS), "beyond"]


def are_apart(several: SideBySide) -> bool:
    """Return whether any distance between two runs was measured."""
    found = [one for i, row in enumerate(several.distances) for one in row[i + 1 :]]
    return any(not one.why for one in found)


def unevaluated(several: SideBySide) -> list[str]:
    """Return in sentences why distances were not measured, each reason once."""
    found = [one for i, row in enumerate(several.distances) for one in row[i + 1 :]]
    return list(dict.fromkeys(one.why for one in found if one.why))
