"""The frozen records that cross module lines. Nothing here computes; standard library only.

The words are those of the standard: a *requirement* is a testable sentence, a *check* decides it,
a *case* is one parametrisation of a check, a *verdict* belongs to a case or a requirement, and an
*outcome* to a run.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # dataclass fields are read at run time
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

Array = Any
"""A NumPy array; this module imports the standard library alone, so the type has no name here."""


class Level(StrEnum):
    """How binding a requirement is (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Oracle(StrEnum):
    """Where the expected value of a requirement comes from."""

    REFERENCE = "reference"
    CLOSED_FORM = "closed_form"
    RELATION = "relation"
    VECTOR = "vector"
    SCHEMA = "schema"
    STATISTICAL = "statistical"


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
class Requirement:
    """One testable sentence of the standard."""

    id: str
    level: Level
    statement: str
    source: str
    since: str
    needs: tuple[str, ...]
    oracle: Oracle
    operator: str | None = None
    """The ONNX operator that the sentence is about, such as ``Attention-23``."""
    suite_model: bool = False
    """Whether it can be decided only on a model of the suite's own, not on a release."""
    untestable: str | None = None
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)
    """What its checks are run on, by case: the inputs that a known fault shows on."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The list of requirements that one certificate is about."""

    name: str
    title: str
    models: tuple[str, ...]
    requirements: tuple[str, ...]
    precisions: tuple[str, ...]
    demands: tuple[str, ...]
    """Capabilities that a candidate of this profile has to claim."""


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a precision contract that a candidate may claim otherwise than the contract has it.

    What is not claimed is taken at its strictest.
    """

    name: str
    one_of: tuple[str | bool, ...]
    """The strictest first."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Contract:
    """A precision contract: the types in which a candidate says that it computes.

    Types are named as NumPy and ml_dtypes name them: ``float32``, ``bfloat16``.
    """

    name: str
    input: str
    weight: str
    accumulation: str
    score: str
    """Attention scores."""
    probability: str
    """Attention weights, before they weigh the values."""
    intermediate: str
    """Other results inside an operator, where an implementation may round or not."""
    phase: str
    output: str
    rounding: str = "nearest-even"
    flush_to_zero: bool = False
    tf32: bool = False
    nan_under_mask: str = "propagates"
    query_without_keys: str = "zero"
    loss_without_labels: str = "nan"
    noise_rms: float | None = None
    """Limit on the RMS error at the logits, in noise units; None where there is no unit."""
    noise_max: float | None = None
    """Limit on the largest error at the logits, in units of the ensemble's largest."""
    basis: str = ""
    """Where the two limits come from."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The standard as data."""

    version: str
    requirements: Mapping[str, Requirement]
    profiles: Mapping[str, Profile]
    contracts: Mapping[str, Contract]
    terms: Mapping[str, Term]
    capabilities: Mapping[str, str]
    digest: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What a vendor says that the candidate supports."""

    capabilities: frozenset[str]
    precision: str = "fp32"
    """The name of a precision contract."""
    contract: Mapping[str, str | bool] = field(default_factory=dict)
    """Terms of that contract that are claimed otherwise, such as ``score: bfloat16``."""
    operators: frozenset[str] | None = None
    """The operators that capability ``operators`` is claimed for; None for all of the standard."""


@dataclass(frozen=True, slots=True)
class CandidateInfo:
    """Who the candidate is, in its adapter's words."""

    name: str
    version: str
    runtime: str
    device: str
    claims: Claims
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the files that make up the candidate, by name."""

    def document(self) -> dict[str, Any]:
        """Return the description as plain JSON values (schema ``candidate``)."""
        operators = self.claims.operators
        return {
            "name": self.name,
            "version": self.version,
            "runtime": self.runtime,
            "device": self.device,
            "claims": {
                "capabilities": sorted(self.claims.capabilities),
                "precision": self.claims.precision,
                "contract": dict(self.claims.contract),
                **({} if operators is None else {"operators": sorted(operators)}),
            },
            "digests": dict(self.digests),
        }


OWN_DOMAIN = "llm-conformance"
"""The domain of the operators that a decoder has and the ONNX standard lacks."""


@dataclass(frozen=True, slots=True)
class OperatorCall:
    """One call of a standard operator, by the standard's formal names.

    ``outputs`` lists the formal names of the outputs that are wanted, in the standard's order.
    """

    operator: str
    opset: int
    inputs: Mapping[str, Array]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("Y",)
    domain: str = ""


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


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model package as it was used in a run."""

    name: str
    digest: str
    build: str
    """``supplied``, or ``exported by the suite: opset 20, float32`` where we made the file."""
    noise: NoiseUnit | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """How a run was made."""

    candidate: str
    """The candidate as it was written on the command line."""
    argv: tuple[str, ...]
    seed: int
    started: str
    duration: float
    hermetic: bool
    isolated: bool
    partial: bool
    """Whether only some of the profile's requirements were selected."""


@dataclass(frozen=True, slots=True)
class Report:
    """The record of a run."""

    suite: Mapping[str, str]
    candidate: CandidateInfo
    contract: Contract
    profile: str
    models: tuple[ModelRecord, ...]
    run: Run
    outcome: Outcome
    requirements: tuple[RequirementResult, ...]
    environment: Mapping[str, str]
    diagnoses: tuple[Diagnosis, ...] = ()
