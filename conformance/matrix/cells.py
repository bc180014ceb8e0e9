"""A cell of the matrix: what one requirement's checks said of one candidate, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.records import Measurement, Verdict
from conformance.verdicts import combine

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Cell:
    """What one requirement's checks said of one candidate."""

    requirement: str
    verdict: Verdict
    worst: Measurement | None
    message: str
    check: str = ""
    """The check that made the worst measurement, or failed without one."""
    failed: tuple[str, ...] = ()
    """Every check that did not pass."""

    @property
    def severity(self) -> float:
        """The worst measurement as a share of its limit; infinite where no number tells it."""
        worst, failed = self.worst, self.verdict is Verdict.FAIL
        if failed and (worst is None or worst.ok or worst.limit == 0 or math.isnan(worst.observed)):
            return math.inf
        return worst.observed / worst.limit if worst is not None and worst.limit else 0.0


def folded(requirement: str, found: Sequence[tuple[str, Verdict, Measurement | None, str]]) -> Cell:
    """Combine what the cases of a requirement said: check, verdict, worst measurement, message."""
    combined = combine(verdict for _, verdict, _, _ in found)
    failed = tuple(dict.fromkeys(name for name, v, _, _ in found if v > Verdict.PASS))
    # Where some failed, what is told is of those: another's limit may be nearer without being over.
    told = [(name, m) for name, verdict, m, _ in found if m and (verdict is combined or not failed)]
    check, worst = max(
        told, key=lambda one: _excess(one[1]), default=(failed[0] if failed else "", None)
    )
    message = next((text for *_, text in found if text), "")
    return Cell(requirement, combined, worst, message, check, failed)


def _excess(measurement: Measurement) -> float:
    """Return how little headroom a measurement has; NaN has the least."""
    return math.inf if math.isnan(measurement.observed) else -measurement.headroom
