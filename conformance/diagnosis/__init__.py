"""Diagnosis: which known fault explains a failure.

A failing candidate is compared with every mutant that could fail in the same way, run in fp64.
Where its output equals a mutant's to within rounding, that fault is its cause. Causes that the
inputs cannot tell apart are named together. Where no single fault fits, the parameters of the model
and pairs of faults are tried; where nothing does, what is known of the error is said. A diagnosis
changes no verdict, and an honest candidate gets none, since only failures are looked at.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import TYPE_CHECKING

from conformance import counterexamples, spec
from conformance.diagnosis import logits, replay
from conformance.errors import CandidateFault, ConformanceError
from conformance.raised import error_text
from conformance.records import Diagnosis, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from conformance.records import CaseResult, RequirementResult
    from conformance.subject import Subject

BUDGET_S = 60.0
"""Seconds after which no further failure is looked into."""
ON_THE_CORPUS = ("LOGITS-001", "LOGITS-008", "LOGITS-005", "LOGITS-006", "LOGITS-007", "TAP-001")
"""Requirements that are decided on the frozen corpus: their failures have one cause."""


def diagnose(
    subject: Subject, results: Sequence[RequirementResult], folder: Path
) -> tuple[Diagnosis, ...]:
    """Return what explains the failures of a run, the first failing case of each requirement.

    Args:
        subject: the candidate, still open; it is asked again.
        results: the results of all requirements.
        folder: the run folder, which holds the counterexamples.
    """
    until = time.monotonic() + BUDGET_S
    found: list[Diagnosis] = []
    explained: set[str] = set()
    for result in sorted(results, key=lambda r: r.requirement.id not in ON_THE_CORPUS):
        failing = [case for case in result.cases if case.verdict is Verdict.FAIL]
        if not failing or result.requirement.id in explained or time.monotonic() > until:
            continue
        for one in _of_case(subject, failing[0], folder):
            found.append(one)
            explained |= logits.explained_by(one) | _of_the_same_two(one.requirement)
    return tuple(found)


def _of_case(subject: Subject, case: CaseResult, folder: Path) -> Iterator[Diagnosis]:
    """Yield the diagnosis of a case; none where the candidate cannot be asked again.

    What goes wrong in the search itself costs the diagnosis, and never the report of a failure.
    """
    try:
        if spec.load().requirements[case.requirement].two_candidates:
            yield from _of_two(subject, case)
            return
        if case.counterexample:
            example = counterexamples.load(str(folder / case.counterexample))
            found = replay.diagnose(subject, case, example.inputs)
        elif case.requirement in ON_THE_CORPUS:
            found = logits.diagnose(subject.models[case.id.split("/")[1]], case)
        else:
            found = None
    except (ConformanceError, CandidateFault):
        return
    except Exception as error:  # noqa: BLE001  # see above
        text = f"note: no diagnosis of {case.id}: {error_text(error)}"
        print(text, file=sys.stderr)  # noqa: T201  # no verdict depends on it
        return
    if found is not None:
        yield found


def _of_the_same_two(requirement: str) -> set[str]:
    """Return, of a requirement of two candidates, those that one look at their logits explains."""
    known = spec.load().requirements
    if not known[requirement].two_candidates:
        return set()
    return {r.id for r in known.values() if r.two_candidates and "logits" in r.needs}


def _of_two(subject: Subject, case: CaseResult) -> Iterator[Diagnosis]:
    """Yield what explains the logits of the corpus of whichever candidate moved, by its name."""
    names = [part for part in case.id.split("/") if part in subject.models]
    for side in filter(None, (subject, subject.against)):
        found = logits.diagnose(side.models[names[0]], case) if names else None
        if found is not None:
            yield dataclasses.replace(found, text=f"{side.text}: {found.text}")
