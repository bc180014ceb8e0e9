"""The cases that a run owes, and the results that it has: what nobody ran stands out here.

Which cases there are is read off the checks themselves, not off pytest's collection: no
configuration, plugin or death of a worker can make one disappear. Nothing here knows pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import catalogue
from conformance.errors import UsageError
from conformance.records import CaseResult, RequirementResult, Verdict
from conformance.verdicts import combine

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from conformance.plan import Planned
    from conformance.records import Requirement


class Ledger:
    """One run's cases.

    Args:
        planned: every requirement of the profile.
        models: the names of the run's models.
        only_case: the one case that is replayed; empty for all.

    Raises:
        UsageError: ``only_case`` is none of the planned cases.
    """

    def __init__(
        self, planned: Sequence[Planned], models: Collection[str], only_case: str = ""
    ) -> None:
        self.planned = planned
        self.results: dict[str, CaseResult] = {}
        self.expected = {
            case: one.requirement.id
            for one in planned
            if one.runs
            for check in catalogue.deciding(one.requirement.id)
            for case in check.cases([m for m in models if one.models is None or m in one.models])
            if only_case in ("", case)
        }
        if only_case and not self.expected:
            raise UsageError(
                f"there is no case {only_case!r} to replay: its model or its requirement is not "
                "part of this run"
            )

    def keep(self, case: CaseResult) -> bool:
        """Keep a result; of several for one case the worst. Returns whether it is news."""
        before = self.results.get(case.id)
        if before is not None and case.verdict <= before.verdict:
            return False
        self.results[case.id] = case
        return True

    def requirements(self, missing: str) -> tuple[RequirementResult, ...]:
        """Return each requirement's result; ``missing`` is why an owed case has none."""
        return tuple(self._result(planned, missing) for planned in self.planned)

    def _result(self, planned: Planned, missing: str) -> RequirementResult:
        requirement = planned.requirement
        if planned.verdict is not None:
            return RequirementResult(requirement, planned.verdict, reason=planned.reason)
        own = [case for case in self.results.values() if case.requirement == requirement.id]
        absent = [
            CaseResult(case, requirement.id, Verdict.NOT_RUN, 0.0, message=missing)
            for case, owner in self.expected.items()
            if owner == requirement.id and case not in self.results
        ]
        return settle(requirement, [*own, *absent], missing)


_EXPLAINED = (Verdict.NOT_APPLICABLE, Verdict.NOT_RUN, Verdict.INCONCLUSIVE, Verdict.ERROR)
"""Verdicts that say nothing of the candidate without their reason."""


def settle(
    requirement: Requirement, cases: Sequence[CaseResult], missing: str
) -> RequirementResult:
    """Return a requirement's result from its cases; not one passed that has none."""
    verdict = combine(case.verdict for case in cases)
    reason = ""
    if verdict in _EXPLAINED:
        reasons = [case.message for case in cases if case.verdict is verdict]
        reason = reasons[0].partition("\n")[0] if reasons else missing
    return RequirementResult(requirement, verdict, tuple(cases), reason)
