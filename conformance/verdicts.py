"""From what happened to a verdict, from verdicts to an outcome, from an outcome to an exit code.

Pure functions over records: this is the whole of the decision table, and nothing else decides.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from conformance.errors import CandidateFault, Nonconformity, NotInBuild, RestartsSpent, Unsupported
from conformance.records import Level, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.records import RequirementResult

EXIT_CODES = {
    Outcome.CONFORMANT: 0,
    Outcome.CONDITIONAL: 0,
    Outcome.NONCONFORMANT: 1,
    Outcome.INCOMPLETE: 2,
}
EXIT_SUITE_FAULT = 3
EXIT_USAGE = 4

NOT_SELECTED = "not selected"
"""Why a requirement is NOT_RUN that a partial selection left out."""

_CANDIDATES_FAULT = (Nonconformity, CandidateFault, Unsupported)


def verdict_of(error: BaseException | None) -> tuple[Verdict, bool]:
    """Return the verdict of a case that ended with ``error`` (None: normally), and if it is flaky.

    A group of errors is what hypothesis raises when the same input gave different results: the
    candidate answers the same question differently.
    """
    if error is None:
        return Verdict.PASS, False
    if isinstance(error, BaseExceptionGroup):
        blamed = error.subgroup(lambda e: isinstance(e, _CANDIDATES_FAULT)) is not None
        return (Verdict.FAIL if blamed else Verdict.INCONCLUSIVE), True
    if isinstance(error, _CANDIDATES_FAULT):
        return Verdict.FAIL, False
    if isinstance(error, RestartsSpent):
        return Verdict.NOT_RUN, False
    if isinstance(error, NotInBuild):
        return Verdict.NOT_APPLICABLE, False
    return Verdict.ERROR, False


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of a requirement from those of its cases; none at all is NOT_RUN."""
    return max(verdicts, default=Verdict.NOT_RUN)


def outcome_of(results: Sequence[RequirementResult], *, partial: bool) -> Outcome:
    """Return the outcome of a run from the verdicts of all requirements of its profile.

    Args:
        results: one result for each requirement of the profile.
        partial: whether only some of the profile was selected: then it cannot be conformant.
    """
    musts = [r for r in results if r.requirement.level is Level.MUST]
    failed = [r for r in musts if r.verdict is Verdict.FAIL]
    if any(r.waiver is None for r in failed):
        return Outcome.NONCONFORMANT
    settled = (Verdict.PASS, Verdict.NOT_APPLICABLE, Verdict.FAIL)
    passed = any(r.verdict is Verdict.PASS for r in musts)
    if partial or not passed or any(r.verdict not in settled for r in musts):
        return Outcome.INCOMPLETE
    return Outcome.CONDITIONAL if failed else Outcome.CONFORMANT


def counts(results: Iterable[RequirementResult]) -> dict[str, int]:
    """Return how many requirements got each verdict, every verdict listed."""
    found = Counter(result.verdict.name for result in results)
    return {verdict.name: found[verdict.name] for verdict in Verdict}
