"""Diagnosis: which known fault explains a failure.

A failing candidate is compared with every mutant that could fail in the same way, run in fp64.
Where its output equals a mutant's to within rounding, that fault is its cause. Causes that the
inputs cannot tell apart are named together. Where no single fault fits, the parameters of the model
and pairs of faults are tried; where nothing does, what is known of the error is said. Beside the
cause stands where the error begins, in which layer and which operator. A diagnosis changes no
verdict, and an honest candidate gets none, since only failures are looked at.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from typing import TYPE_CHECKING, cast

from conformance import counterexamples, spec
from conformance.diagnosis import divergence, logits, replay
from conformance.errors import CandidateFault, ConformanceError
from conformance.raised import error_text
from conformance.records import Diagnosis, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeVar

    from conformance.checked import CheckedModel
    from conformance.records import CaseResult, RequirementResult
    from conformance.subject import Subject

    _T = TypeVar("_T")

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
    """Yield the diagnosis of a case; none where the candidate cannot be asked again."""
    if spec.load().requirements[case.requirement].two_candidates:
        found = _of_two(subject, case)
    elif case.counterexample:
        found = [_tried(case, lambda: _replayed(subject, case, folder))]
    elif case.requirement in ON_THE_CORPUS:
        found = [_of_the_corpus(subject, case)]
    else:
        found = []
    yield from (one for one in found if one is not None)


def _replayed(subject: Subject, case: CaseResult, folder: Path) -> Diagnosis | None:
    example = counterexamples.load(str(folder / case.counterexample))
    return replay.diagnose(subject, case, example.inputs)


def _of_the_corpus(subject: Subject, case: CaseResult) -> Diagnosis | None:
    """Return which fault the logits of the corpus show, and where it begins."""
    found = _tried(case, lambda: logits.diagnose(_model(subject, case), case))
    begins = _tried(case, lambda: divergence.find(_model(subject, case), taps=_taps(subject)))
    if begins is None:
        return found
    unit = "noise units"
    plain = Diagnosis(case.requirement, case.id, (), math.nan, unit, "no known fault fits")
    return dataclasses.replace(found or plain, divergence=begins)


def _model(subject: Subject, case: CaseResult) -> CheckedModel:
    return cast("CheckedModel", subject.models[case.id.split("/")[1]])


def _taps(subject: Subject) -> bool:
    return "hidden_states" in subject.info.claims.capabilities


def _of_two(subject: Subject, case: CaseResult) -> list[Diagnosis | None]:
    """Return what explains the logits of the corpus of whichever candidate moved, by its name."""
    names = [part for part in case.id.split("/") if part in subject.models]
    return [_of_one(side, case, names[0]) for side in (subject, subject.against) if side and names]


def _of_one(side: Subject, case: CaseResult, model: str) -> Diagnosis | None:
    found = _tried(case, lambda: logits.diagnose(cast("CheckedModel", side.models[model]), case))
    return found and dataclasses.replace(found, text=f"{side.text}: {found.text}")


def _of_the_same_two(requirement: str) -> set[str]:
    """Return, of a requirement of two candidates, those that one look at their logits explains."""
    known = spec.load().requirements
    if not known[requirement].two_candidates:
        return set()
    return {r.id for r in known.values() if r.two_candidates and "logits" in r.needs}


def _tried(case: CaseResult, search: Callable[[], _T | None]) -> _T | None:
    """Return what a search finds; what goes wrong in it costs that, never a failure's report."""
    try:
        return search()
    except (ConformanceError, CandidateFault):
        return None
    except Exception as error:  # noqa: BLE001  # see above
        text = f"note: no diagnosis of {case.id}: {error_text(error)}"
        print(text, file=sys.stderr)  # noqa: T201  # no verdict depends on it
        return None
