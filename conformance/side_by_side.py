"""Several runs on the same inputs, side by side: verdicts, headroom, and how far apart they are.

The distance of two runs is the RMS difference of the logits that they kept of the frozen corpus, in
noise units, the wider of the two; of several models the largest is taken. It judges nobody: what is
right is said by the distance from the exact logits alone. Nothing here runs a candidate. Shape
letters: N judged tokens, V vocabulary.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import kept
from conformance.diff import standard_of
from conformance.errors import UsageError
from conformance.records import Distance, SideBySide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from conformance.records import ModelRecord, Report

    Array = NDArray[Any]

ITSELF = Distance(0.0)
ON_THE_CORPUS = "test_logits_on_the_frozen_corpus_are_exact_but_for_noise"
"""The check that measures how far the logits of the frozen corpus are from the exact ones."""


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
    left = [_kept(folder, report) for folder, report in runs]
    return SideBySide(
        reports=tuple(report for _, report in runs),
        exact=tuple(_from_exact(report) for _, report in runs),
        distances=tuple(
            tuple(_distance(one, other) if i != j else ITSELF for j, other in enumerate(left))
            for i, one in enumerate(left)
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
        for case in result.cases
        if case.id.partition("/")[0] == ON_THE_CORPUS
        for m in case.measurements
        if m.metric == "rms"
    ]
    if not found:
        return Distance(math.nan, f"{ON_THE_CORPUS} was not run")
    return Distance(math.nan if any(map(math.isnan, found)) else max(found))


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is left of a run: its report, and the logits (N, V) of each model."""

    report: Report
    logits: Mapping[str, Array]
    why: str = ""
    """Why there are none, where there are none."""


def _kept(run: Path, report: Report) -> _Kept:
    who, found = report.run.candidate, {}
    if not report.models:
        return _Kept(report, {}, f"profile {report.profile} has no models")
    for model in report.models:
        if model.answer is None or model.noise is None:
            why = f"{who} kept no logits of {model.name}: none were asked for, or they were large"
            return _Kept(report, {}, why)
        logits_NV = kept.load(run, model.answer)
        if logits_NV is None:
            why = f"the logits of {model.name} that {who} kept are not there any more"
            return _Kept(report, {}, why)
        found[model.name] = logits_NV
    return _Kept(report, found)


def _distance(one: _Kept, other: _Kept) -> Distance:
    why = one.why or other.why
    if why:
        return Distance(math.nan, why)
    pairs = zip(one.report.models, other.report.models, strict=True)
    found = [_apart(a, one.logits[a.name], b, other.logits[b.name]) for a, b in pairs]
    return max(found, key=lambda d: math.inf if math.isnan(d.units) else d.units)


def _apart(a: ModelRecord, x_NV: Array, b: ModelRecord, y_NV: Array) -> Distance:
    if x_NV.shape != y_NV.shape:
        return Distance(math.nan, f"the logits of {a.name} that were kept have different shapes")
    unit = max((n for n in (a.noise, b.noise) if n is not None), key=lambda noise: noise.rms)
    with np.errstate(invalid="ignore", over="ignore"):
        rms = float(np.sqrt(np.mean(np.square(x_NV - y_NV))))
    return Distance(rms / unit.rms, model=a.name, unit_of=unit.contract)
