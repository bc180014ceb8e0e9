"""What a report tells of the type in which a candidate really computes, for each model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import fingerprint

if TYPE_CHECKING:
    from conformance.records import CaseResult, Measurement, Report, Verdict


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A candidate's error on one model, as a share of the noise of each precision."""

    model: str
    claimed: str
    verdict: Verdict
    measured: dict[str, Measurement]
    """By precision, the widest first."""

    @property
    def units(self) -> dict[str, float]:
        """The error in noise units of each precision."""
        return {name: one.observed for name, one in self.measured.items()}

    @property
    def own(self) -> float:
        """The error in noise units of the claimed precision."""
        return self.units[self.claimed]

    @property
    def drawable(self) -> bool:
        """Whether it has a place on a logarithmic scale."""
        return all(0 < unit < math.inf for unit in self.units.values())

    @property
    def told(self) -> str:
        """In which type the candidate computes, in words."""
        return fingerprint.told(self.units, self.claimed)


def fingerprints(report: Report) -> list[Fingerprint]:
    """Return one fingerprint for each model on which it was taken."""
    found = (
        _of(case, report.contract.name) for result in report.requirements for case in result.cases
    )
    return [one for one in found if one is not None]


def summary(report: Report) -> str:
    """Return in one sentence in which type the candidate computes; empty where it is not known.

    Told is the model on which the error is largest; where models disagree, each of them.
    """
    groups: dict[str, list[Fingerprint]] = {}
    for one in fingerprints(report):
        types = fingerprint.precisions_of(one.units, one.claimed)
        groups.setdefault(" ".join(types[:1]), []).append(one)
    return "; ".join(_furthest(group) for group in groups.values())


def _furthest(group: list[Fingerprint]) -> str:
    first = max(group, key=lambda one: math.inf if math.isnan(one.own) else one.own)
    more = f", the furthest of {len(group)} models" if len(group) > 1 else ""
    return f"{first.told} ({first.model}{more})"


def _of(case: CaseResult, claimed: str) -> Fingerprint | None:
    measured = {
        one.metric.removeprefix(fingerprint.METRIC): one
        for one in case.measurements
        if one.metric.startswith(fingerprint.METRIC)
    }
    if claimed not in measured:
        return None
    model = case.id.split("/")[1] if "/" in case.id else case.id
    return Fingerprint(model, claimed, case.verdict, measured)
