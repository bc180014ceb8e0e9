"""What was measured, what it is worth, and what explains it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from conformance.records.standard import Requirement


class Verdict(IntEnum):
    """The verdict of a case or requirement; several combine by ``max``.

    The order makes sure that a fault of the suite never hides a failure of the candidate, and
    that nothing unevaluated reads as passed.
    """

    NOT_APPLICABLE = 0
    PASS = 1
    NOT_RUN = 2
    INCONCLUSIVE = 3
    ERROR = 4
    FAIL = 5


class Outcome(StrEnum):
    """The outcome of a run."""

    CONFORMANT = "conformant"
    CONDITIONAL = "conditional"
    NONCONFORMANT = "nonconformant"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class NoiseUnit:
    """The error of honest implementations of one model under one contract, on one corpus."""

    rms: float
    """Median over the ensemble of the RMS error against fp64: one noise unit."""
    max: float
    """Median over the ensemble of the largest error against fp64."""
    spread: float
    """Largest relative deviation of a member's RMS from the median."""
    members: int
    positions: int
    contract: str
    """The name of the precision contract."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One comparison that a judge made: ``observed`` was held against ``limit``."""

    metric: str
    observed: float
    limit: float
    unit: str
    where: str
    count: int
    """How many numbers were compared."""

    @property
    def ok(self) -> bool:
        """Whether the limit was kept; NaN never is."""
        return self.observed <= self.limit

    @property
    def headroom(self) -> float:
        """Share of the limit that was left: 1 means exact, 0 at the limit, negative beyond it."""
        if self.limit == 0:
            return 1.0 if self.observed == 0 else float("-inf")
        return 1.0 - self.observed / self.limit


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case."""

    id: str
    """``function/model/parameter``: stable, whatever the folder that pytest was started in."""
    requirement: str
    verdict: Verdict
    duration: float
    """Seconds, the oracle's and the judge's included."""
    candidate_seconds: float = 0.0
    """The candidate's own share of them."""
    oracle_seconds: float = 0.0
    """The oracle's, the ensembles of honest candidates and the known faults included."""
    flaky: bool = False
    measurements: tuple[Measurement, ...] = ()
    notes: tuple[str, ...] = ()
    """What its check could not tell, in words."""
    message: str = ""
    counterexample: str = ""
    """Path of the stored minimal input, relative to the run folder."""
    reproduce: str = ""


@dataclass(frozen=True, slots=True)
class RequirementResult:
    """What became of one requirement: its cases' verdicts combined."""

    requirement: Requirement
    verdict: Verdict
    cases: tuple[CaseResult, ...] = ()
    reason: str = ""
    """Why it was not evaluated, where it was not."""
    waiver: str | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where an error begins: what is known of it, from a layer down to one operator."""

    kind: str
    """``operator``: the runtime computes one wrongly. ``optimisation``: it is wrong only while
    nobody looks. ``unrepeatable``: it was right when it was loaded again. ``graph``: the graph is
    not the model. ``rounding``: operators and graph are right. ``unknown``: so are those that could
    be judged. ``layer``: nothing but layers could be looked at."""
    layer: str = ""
    """The first that is wrong, such as ``layer.2``, or what belongs to none; empty if unknown."""
    node: str = ""
    operator: str = ""
    error: float = math.nan
    """How wrong it is by itself; NaN where that has no measure."""
    unit: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What explains a failure: known faults whose output equals the candidate's, or symptoms."""

    requirement: str
    case: str
    causes: tuple[str, ...]
    """Names of mutants that these inputs cannot tell apart, the nearest first; none where no known
    fault fits."""
    distance: float
    """How far the candidate's output is from that of the first cause; NaN where there is none."""
    unit: str
    text: str
    divergence: Divergence | None = None
