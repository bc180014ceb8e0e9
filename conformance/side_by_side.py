"""Several runs on the same inputs, side by side: verdicts, headroom, and how far apart they are.

The distance of two runs is the RMS difference of the logits that they kept of the frozen corpus, in
noise units, the wider of the two; of several models the largest is taken. It judges nobody: what is
right is said by the distance from the exact logits alone. Nothing here runs a candidate.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from conformance import kept
from conformance.diff import standard_of
from conformance.errors import UsageError
from conformance.records import Distance, SideBySide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conformance.records import ModelRecord, Report

_ON_THE_CORPUS = "LOGITS-001"
_NOT_KEPT = "no logits were kept by one of the two runs"


def side_by_side(runs: Sequence[tuple[Path, Report]]) -> SideBySide:
    """Put runs side by side.

    Args:
        runs: each report with the folder that it stands in, where the kept logits are looked for.

    Raises:
        UsageError: two of them were not given the same inputs; the message names each difference.
    """
    _, first = runs[0]
    for _, other in runs[1:]:
        _check_same_inputs(first, other)
    return SideBySide(
        reports=tuple(report for _, report in runs),
        exact=tuple(_from_exact(report) for _, report in runs),
        distances=tuple(
            tuple(
                _distance(one, other) if i != j else Distance(0.0) for j, other in enumerate(runs)
            )
            for i, one in enumerate(runs)
        ),
    )


def _check_same_inputs(one: Report, other: Report) -> None:
    differences = [
        f"  {name}: {mine} and {theirs}"
        for (name, mine), (_, theirs) in zip(_inputs(one), _inputs(other), strict=True)
        if mine != theirs
    ]
    if differences:
        head = (
            f"the runs of {one.run.candidate} and {other.run.candidate} were not given the same "
            "inputs, so that side by side they would mislead; they differ in"
        )
        advice = "run both again, with one suite and one --seed"
        raise UsageError("\n".join([head, *differences, advice]))


def _inputs(report: Report) -> list[tuple[str, str]]:
    """Return what determines a run's inputs; the type of operators' inputs is the contract's."""
    models = ", ".join(f"{m.name} ({m.digest[:12]})" for m in report.models)
    listed = [result.requirement.id for result in report.requirements]
    digest = hashlib.sha256(" ".join(listed).encode()).hexdigest()[:12]
    return [
        ("profile", report.profile),
        ("standard", standard_of(report)),
        ("requirements listed", f"{len(listed)} ({digest})"),
        ("suite", report.suite.get("digest", "none")[:12]),
        ("models", models or "none"),
        ("seed", str(report.run.seed)),
        ("generator", f"hypothesis {report.environment.get('hypothesis', 'unknown')}"),
    ]


def _from_exact(report: Report) -> Distance:
    """Return how far a run's logits of the frozen corpus were from the exact ones."""
    found = [
        m.observed
        for result in report.requirements
        if result.requirement.id == _ON_THE_CORPUS
        for case in result.cases
        for m in case.measurements
        if m.metric == "rms"
    ]
    if not found:
        return Distance(math.nan, f"{_ON_THE_CORPUS} was not evaluated")
    return Distance(math.nan if any(map(math.isnan, found)) else max(found))


def _distance(one: tuple[Path, Report], other: tuple[Path, Report]) -> Distance:
    (here, mine), (there, theirs) = one, other
    if not mine.models:
        return Distance(math.nan, f"profile {mine.profile} has no models")
    worst = Distance(-math.inf)
    for a, b in zip(mine.models, theirs.models, strict=True):
        found = _of_model(here, a, there, b)
        if found.why:
            return found
        worst = max(worst, found, key=lambda d: math.inf if math.isnan(d.units) else d.units)
    return worst


def _of_model(here: Path, a: ModelRecord, there: Path, b: ModelRecord) -> Distance:
    if a.answer is None or b.answer is None or a.noise is None or b.noise is None:
        return Distance(math.nan, _NOT_KEPT)
    x_NV, y_NV = kept.load(here, a.answer), kept.load(there, b.answer)
    if x_NV is None or y_NV is None:
        return Distance(math.nan, f"the logits of {a.name} that were kept are not there any more")
    if x_NV.shape != y_NV.shape:
        return Distance(math.nan, f"the logits of {a.name} have different shapes")
    unit = max(a.noise, b.noise, key=lambda noise: noise.rms)
    with np.errstate(invalid="ignore", over="ignore"):
        rms = float(np.sqrt(np.mean(np.square(x_NV - y_NV))))
    return Distance(rms / unit.rms, model=a.name, unit_of=unit.contract)
