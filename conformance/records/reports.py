"""A run as a whole: its models, its report, and several reports side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conformance.records.candidates import CandidateInfo
from conformance.records.results import Diagnosis, NoiseUnit, Outcome, RequirementResult
from conformance.records.standard import Contract


@dataclass(frozen=True, slots=True)
class Preflight:
    """What judging a release will take, estimated before anything heavy is done."""

    parameters: int
    layer_bytes: int
    """The weights of its largest layer, as they are stored."""
    peak_bytes: int
    """Memory that the suite itself needs at most; the candidate's own comes on top."""
    free_bytes: int | None
    """Memory that could be had; None where that is not known."""
    seconds: float
    """Time of the oracle and of the honest ensemble, by the speed that was measured."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model package as it was used in a run."""

    name: str
    digest: str
    build: str
    """``supplied``, or ``exported by the suite: opset 20, float32`` where we made the file."""
    noise: NoiseUnit | None = None
    answer: str | None = None
    """SHA-256 of the kept logits of the frozen corpus; None where none were kept."""
    preflight: Preflight | None = None
    """None where the model is the suite's own, and small."""


@dataclass(frozen=True, slots=True)
class Against:
    """The second candidate of a run, which the first was held against."""

    text: str
    """As it was written on the command line."""
    candidate: CandidateInfo
    contract: Contract
    models: tuple[ModelRecord, ...]


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
    against: Against | None = None
    includes: tuple[str, ...] = ()
    """The profiles of which the run's is the union."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two answers to the frozen corpus are apart."""

    units: float
    """RMS, in noise units; NaN where an answer holds one, and where nothing was measured."""
    why: str = ""
    """Why nothing was measured, where that is so."""
    model: str = ""
    """The model on which they are farthest apart."""
    unit_of: str = ""
    """The contract whose noise unit it is."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Several runs on the same inputs."""

    reports: tuple[Report, ...]
    exact: tuple[Distance, ...]
    """Of each run, from the exact logits."""
    distances: tuple[tuple[Distance, ...], ...]
    """Of each run from each other."""
