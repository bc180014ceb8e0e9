"""The frozen records that cross module lines. Nothing here computes; standard library only.

The words are those of the standard: a *requirement* is a testable sentence, a *check* decides it,
a *case* is one parametrisation of a check, a *verdict* belongs to a case or a requirement, and an
*outcome* to a run.
"""

from conformance.records.candidates import OWN_DOMAIN, Array, CandidateInfo, Claims, OperatorCall
from conformance.records.generation import FINISHES, Continuation, GenerationRequest
from conformance.records.reports import (
    Against,
    Distance,
    ModelRecord,
    Preflight,
    Report,
    Run,
    SideBySide,
)
from conformance.records.results import (
    CaseResult,
    Diagnosis,
    Divergence,
    Measurement,
    NoiseUnit,
    Outcome,
    RequirementResult,
    Verdict,
)
from conformance.records.sampling import SamplingCall, SamplingParameters, SamplingPolicy
from conformance.records.standard import Contract, Level, Oracle, Profile, Requirement, Spec, Term
from conformance.records.tokenizer import Encoding, TokenizerFacts

__all__ = [
    "FINISHES",
    "OWN_DOMAIN",
    "Against",
    "Array",
    "CandidateInfo",
    "CaseResult",
    "Claims",
    "Continuation",
    "Contract",
    "Diagnosis",
    "Distance",
    "Divergence",
    "Encoding",
    "GenerationRequest",
    "Level",
    "Measurement",
    "ModelRecord",
    "NoiseUnit",
    "OperatorCall",
    "Oracle",
    "Outcome",
    "Preflight",
    "Profile",
    "Report",
    "Requirement",
    "RequirementResult",
    "Run",
    "SamplingCall",
    "SamplingParameters",
    "SamplingPolicy",
    "SideBySide",
    "Spec",
    "Term",
    "TokenizerFacts",
    "Verdict",
]
