"""The standard as records: requirements, profiles, precision contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


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
    steps: tuple[str, ...] = field(default=(), compare=False)
    """The steps of sampling that the sentence is about, such as ``top_k``."""
    suite_model: bool = False
    """Whether it can be decided only on a model of the suite's own, not on a release."""
    two_candidates: bool = False
    """Whether it is about two candidates, the second of them named by ``--against``."""
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
    includes: tuple[Profile, ...] = ()
    """The profiles of which this one is the union; none where it is a list of its own."""

    def having(self, requirement: str, precision: str | None = None) -> tuple[Profile, ...]:
        """Return the profiles, of this one's parts or itself, that ask for a requirement.

        Args:
            requirement: its id.
            precision: only of profiles that are stated for it; None for all.
        """
        return tuple(
            part
            for part in self.includes or (self,)
            if requirement in part.requirements
            and (precision is None or precision in part.precisions)
        )

    def models_of(self, requirement: str, precision: str | None = None) -> tuple[str, ...]:
        """Return the models on which a requirement is decided, of the parts that ask for it."""
        having = self.having(requirement, precision)
        return tuple(dict.fromkeys(name for part in having for name in part.models))


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
