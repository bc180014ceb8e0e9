"""What a candidate says of itself, and what it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.records.sampling import SamplingPolicy
from conformance.records.tokenizer import TokenizerFacts

Array = Any
"""A NumPy array; this module imports the standard library alone, so the type has no name here."""


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
    sampling: SamplingPolicy | None = None
    """How tokens are chosen, where they are; None for the standard's own policy."""
    tokenizer: TokenizerFacts | None = None
    """What ids there are and what becomes of text; needed by whoever claims ``tokenizer``."""


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
        operators, policy = self.claims.operators, self.claims.sampling
        facts = self.claims.tokenizer
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
                **({} if policy is None else {"sampling": policy.document()}),
                **({} if facts is None else {"tokenizer": facts.document()}),
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
