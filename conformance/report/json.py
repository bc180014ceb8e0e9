"""The record of a run as JSON (schema ``report``): written, read back, and told from any other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance import formats, schema
from conformance.records import (
    Against,
    CandidateInfo,
    CaseResult,
    Claims,
    Contract,
    Diagnosis,
    Divergence,
    Level,
    Measurement,
    ModelRecord,
    NoiseUnit,
    Oracle,
    Outcome,
    Preflight,
    Report,
    Requirement,
    RequirementResult,
    Run,
    SamplingPolicy,
    TokenizerFacts,
    Verdict,
)
from conformance.verdicts import counts

if TYPE_CHECKING:
    from collections.abc import Mapping


def render(report: Report) -> str:
    """Return the report as a JSON document that follows schema ``report``."""
    return schema.dump(document(report)).decode()


def document(report: Report) -> dict[str, Any]:
    """Return the report as plain JSON values."""
    evaluated = (Verdict.PASS, Verdict.FAIL)
    return {
        "schema": schema.schema_of("report")["$id"],
        "suite": dict(report.suite),
        "candidate": report.candidate.document(),
        "contract": dataclasses.asdict(report.contract),
        "profile": report.profile,
        **({"includes": list(report.includes)} if report.includes else {}),
        "models": [_model_document(model) for model in report.models],
        "run": {**dataclasses.asdict(report.run), "argv": list(report.run.argv)},
        "outcome": report.outcome.value,
        "counts": counts(report.requirements),
        "requirements": [_requirement(result) for result in report.requirements],
        "diagnoses": [
            {**dataclasses.asdict(one), "causes": list(one.causes)} for one in report.diagnoses
        ],
        "not_evaluated": [
            {"id": r.requirement.id, "verdict": r.verdict.name, "reason": r.reason}
            for r in report.requirements
            if r.verdict not in evaluated
        ],
        "environment": dict(report.environment),
        **({} if report.against is None else {"against": _against_document(report.against)}),
    }


def _model_document(model: ModelRecord) -> dict[str, Any]:
    told = dataclasses.asdict(model)
    optional = {"answer", "preflight"}
    return {
        name: value for name, value in told.items() if value is not None or name not in optional
    }


def _against_document(against: Against) -> dict[str, Any]:
    return {
        "text": against.text,
        "candidate": against.candidate.document(),
        "contract": dataclasses.asdict(against.contract),
        "models": [_model_document(model) for model in against.models],
    }


def case_document(case: CaseResult) -> dict[str, Any]:
    """Return a case's result as plain JSON values."""
    return {
        **dataclasses.asdict(case),
        "verdict": case.verdict.name,
        "measurements": [
            {**dataclasses.asdict(m), "headroom": m.headroom} for m in case.measurements
        ],
    }


def _requirement(result: RequirementResult) -> dict[str, Any]:
    return {
        **{k: v for k, v in dataclasses.asdict(result.requirement).items() if k not in _REDUNDANT},
        "needs": list(result.requirement.needs),
        "verdict": result.verdict.name,
        "reason": result.reason,
        "waiver": result.waiver,
        "cases": [case_document(case) for case in result.cases],
    }


_REDUNDANT = {"untestable", "inputs", "steps"}
"""Told by the reason of the verdict, and by the ids of the cases."""


def parse(data: bytes) -> Report:
    """Read a report back.

    Raises:
        FormatError: it is not JSON, or does not follow schema ``report``.
    """
    read = schema.parse(data)
    formats.check("report", read)
    return Report(
        suite=read["suite"],
        candidate=_candidate(read["candidate"]),
        contract=Contract(**read["contract"]),
        profile=read["profile"],
        models=tuple(map(_model, read["models"])),
        run=Run(**{**read["run"], "argv": tuple(read["run"]["argv"])}),
        outcome=Outcome(read["outcome"]),
        requirements=tuple(map(_result, read["requirements"])),
        environment=read["environment"],
        diagnoses=tuple(map(_diagnosis, read["diagnoses"])),
        against=_against(read["against"]) if "against" in read else None,
        includes=tuple(read.get("includes", ())),
    )


def parse_case(read: Mapping[str, Any]) -> CaseResult:
    """Read one case's result back."""
    fields = {**read, "verdict": Verdict[read["verdict"]]}
    measurements = tuple(map(_measurement, read["measurements"]))
    return CaseResult(**{**fields, "measurements": measurements, "notes": tuple(read["notes"])})


def _candidate(read: Mapping[str, Any]) -> CandidateInfo:
    claims = read["claims"]
    operators = claims.get("operators")
    said = Claims(
        frozenset(claims["capabilities"]),
        claims["precision"],
        claims.get("contract", {}),
        None if operators is None else frozenset(operators),
        SamplingPolicy.of(claims.get("sampling")),
        TokenizerFacts.of(claims.get("tokenizer")),
    )
    return CandidateInfo(**{**read, "claims": said})


def _against(read: Mapping[str, Any]) -> Against:
    return Against(
        text=read["text"],
        candidate=_candidate(read["candidate"]),
        contract=Contract(**read["contract"]),
        models=tuple(map(_model, read["models"])),
    )


def _diagnosis(read: Mapping[str, Any]) -> Diagnosis:
    begins = read.get("divergence")
    return Diagnosis(
        **{
            **read,
            "causes": tuple(read["causes"]),
            "distance": float(read["distance"]),
            "divergence": begins and Divergence(**{**begins, "error": float(begins["error"])}),
        }
    )


def _model(read: Mapping[str, Any]) -> ModelRecord:
    noise, before = read["noise"], read.get("preflight")
    return ModelRecord(
        **{
            **read,
            "noise": None if noise is None else NoiseUnit(**noise),
            "preflight": before and Preflight(**before),
        }
    )


def _result(read: Mapping[str, Any]) -> RequirementResult:
    own = {f.name for f in dataclasses.fields(Requirement)}
    fields = {key: value for key, value in read.items() if key in own}
    requirement = Requirement(
        **{
            **fields,
            "level": Level(read["level"]),
            "oracle": Oracle(read["oracle"]),
            "needs": tuple(read["needs"]),
        }
    )
    return RequirementResult(
        requirement=requirement,
        verdict=Verdict[read["verdict"]],
        cases=tuple(map(parse_case, read["cases"])),
        reason=read["reason"],
        waiver=read["waiver"],
    )


def _measurement(read: Mapping[str, Any]) -> Measurement:
    fields = {key: value for key, value in read.items() if key != "headroom"}
    for name in ("observed", "limit"):
        fields[name] = float(fields[name])  # non-finite numbers travel as text
    return Measurement(**fields)
