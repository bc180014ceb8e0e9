"""What the report will say of the candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import judge
from conformance.checks import requirement

if TYPE_CHECKING:
    from conformance.records import CandidateInfo


@requirement("REPORT-001")
def test_the_candidate_describes_itself_as_the_report_needs_it(candidate: CandidateInfo) -> None:
    judge.follows_schema("candidate", candidate.document())
