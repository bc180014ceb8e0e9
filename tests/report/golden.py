"""A report that holds everything that a format can meet, with text that tries to do harm."""

from __future__ import annotations

import dataclasses
import math

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
    Report,
    Requirement,
    RequirementResult,
    Run,
    Verdict,
)

SCRIPT = "<script>document.title = 'pwned'; window.pwned = 1</script>"
IMAGE = '<img src=x onerror="window.pwned = 1">'
QUOTES = "\"'><svg onload=window.pwned=1> | `rm` **bold** [a](javascript:window.pwned=1) @team #1"
CLOSERS = "</style></title></textarea></pre></details></code>--></script>]]>{{7*7}}${7*7}"
INVISIBLE = "a\x1b[2Jb\u202ec\x00d\u2028e\ufffff\x7f"
SHA = "0123456789abcdef" * 4

CONTRACT = Contract(
    name="fp32",
    input="float32",
    weight="float32",
    accumulation="float32",
    score="float32",
    probability="float32",
    intermediate="float32",
    phase="float32",
    output="float32",
    rounding="nearest-even",
    flush_to_zero=False,
    tf32=False,
    noise_rms=3.0,
    noise_max=4.0,
    basis="Ten honest engines lie between 0.97 and 1.16 noise units.",
)


def measured(observed: float, limit: float, where: str = "logits[0, 17, 4032]") -> Measurement:
    return Measurement("rms", observed, limit, "noise units", where, 4096)


def case(requirement: str, verdict: Verdict, *found: Measurement, **more: object) -> CaseResult:
    known = {"id": "test_a_fact/llama-gqa", "duration": 0.25, **more}
    return CaseResult(requirement=requirement, verdict=verdict, measurements=found, **known)


def result(
    number: int, verdict: Verdict, *cases: CaseResult, level: Level = Level.MUST, **more: object
) -> RequirementResult:
    requirement = Requirement(
        id=f"GOLD-{number:03d}",
        level=level,
        statement=f"Statement {number} of the golden report is kept by every candidate.",
        source="Vaswani et al. 2017, section 3.2.3",
        since="1.0",
        needs=("logits",),
        oracle=Oracle.CLOSED_FORM,
        operator="Attention-23",
    )
    return RequirementResult(requirement, verdict, tuple(cases), **more)


def results() -> tuple[RequirementResult, ...]:
    fails = [
        case(
            "GOLD-001",
            Verdict.FAIL,
            measured(31.4, 3.0),
            measured(1.0, 3.0),
            message="31.4 noise units (rms) at logits[0, 17, 4032]; allowed 3\n  cut 2",
            counterexample="counterexamples/GOLD-001.json",
            reproduce="llm-conformance run --candidate x --replay counterexamples/GOLD-001.json",
        ),
        case(
            "GOLD-001",
            Verdict.FAIL,
            measured(math.nan, 3.0, where=IMAGE),
            id=f"test_nan/{SCRIPT}",
            message=f"{CLOSERS}\n{INVISIBLE}",
            reproduce=QUOTES,
            flaky=True,
        ),
        case("GOLD-001", Verdict.PASS, measured(0.5, 3.0), id="test_a_fact/llama-mqa"),
    ]
    crash = case("GOLD-003", Verdict.ERROR, message=f"ValueError in the suite: {SCRIPT}")
    doubt = case("GOLD-004", Verdict.INCONCLUSIVE, measured(1.0, 3.0), message="not decided")
    died = case("GOLD-005", Verdict.NOT_RUN, message="the process died")
    return (
        result(1, Verdict.FAIL, *fails),
        result(
            2,
            Verdict.PASS,
            case("GOLD-002", Verdict.PASS, measured(1.07, 3.0)),
            case("GOLD-002", Verdict.NOT_APPLICABLE, id="test_a_fact/other", message=LACKING),
        ),
        result(3, Verdict.ERROR, crash),
        result(4, Verdict.INCONCLUSIVE, doubt),
        result(5, Verdict.NOT_RUN, died, reason="the run did not finish"),
        result(6, Verdict.NOT_RUN, reason="not selected"),
        result(7, Verdict.NOT_APPLICABLE, reason=f"needs cache, not claimed {SCRIPT}"),
        result(8, Verdict.PASS, case("GOLD-008", Verdict.PASS, measured(0.0, math.inf))),
        result(9, Verdict.PASS, case("GOLD-009", Verdict.PASS, measured(0.0, 0.0, where=""))),
        result(
            10,
            Verdict.FAIL,
            case("GOLD-010", Verdict.FAIL, measured(math.inf, 1.0), message="infinite"),
            waiver=f"W-1 until 2027-01-01: {QUOTES}",
        ),
        result(
            11,
            Verdict.FAIL,
            case("GOLD-011", Verdict.FAIL, measured(2.0, 0.0), message="one too many"),
            level=Level.SHOULD,
        ),
        result(12, Verdict.FAIL, reason="the profile demands cache, and it is not claimed"),
        result(13, Verdict.PASS, case("GOLD-013", Verdict.PASS), level=Level.SHOULD),
        result(
            14, Verdict.FAIL, case("GOLD-014", Verdict.FAIL, measured(1e12, 1.0), message="far")
        ),
        result(15, Verdict.FAIL, *fingerprints()),
    )


NOISE = {"fp32": 1e-6, "tf32": 1.4e-3, "fp16": 1.9e-3, "bf16": 1.6e-2}


def fingerprints() -> list[CaseResult]:
    """Return the fingerprints of an honest answer, of one in bfloat16, and of no number."""
    limits = {"fp32": 3.0, "tf32": 0.5, "fp16": 0.5, "bf16": 0.5}
    return [
        case(
            "GOLD-015",
            verdict,
            *(
                Measurement(f"in the noise of {name}", error / rms, limits[name], "of it", "", 9)
                for name, rms in NOISE.items()
            ),
            id=f"test_its_type/{model}",
        )
        for model, error, verdict in (
            ("llama-gqa", 1.03e-6, Verdict.PASS),
            (f"model {QUOTES}", 1.5e-2, Verdict.FAIL),
            ("llama-nan", math.nan, Verdict.FAIL),
        )
    ]


def golden(hostile: str = f"{SCRIPT} {IMAGE} {QUOTES} {CLOSERS}") -> Report:
    """Return the golden report; ``hostile`` stands wherever a candidate's text can stand."""
    info = CandidateInfo(
        name=hostile,
        version=f"1.0 {hostile}",
        runtime=f"runtime {hostile}",
        device=f"device {hostile}",
        claims=Claims(frozenset({"logits", "operators"})),
        digests={f"libfast.so {hostile}": SHA},
    )
    noise = NoiseUnit(5.4e-6, 6.3e-5, 0.055, 8, 298, "fp32")
    return Report(
        suite={"version": "0.1.0", "spec": "1.0", "digest": SHA, "spec_digest": SHA},
        candidate=info,
        contract=CONTRACT,
        profile="decoder",
        models=(
            ModelRecord("llama-gqa", SHA, "exported by the suite", noise),
            ModelRecord(f"model {hostile}", SHA, "supplied"),
        ),
        run=Run(
            candidate=f"acme {hostile}",
            argv=(f"--candidate=acme {hostile}", "--seed=1"),
            seed=1,
            started="2026-01-02T03:04:05Z",
            duration=148.2,
            hermetic=True,
            isolated=False,
            partial=False,
        ),
        outcome=Outcome.NONCONFORMANT,
        requirements=results(),
        environment={"python": "3.11.7", f"driver {hostile}": f"version {hostile}"},
        diagnoses=diagnoses(),
    )


def diagnoses() -> tuple[Diagnosis, ...]:
    """Return what explains the first failure."""
    failed = next(r for r in results() if r.verdict is Verdict.FAIL)
    return (
        Diagnosis(
            failed.requirement.id,
            "case",
            (CAUSE,),
            1.1,
            "noise units",
            f"equals {CAUSE}",
            Divergence("operator", "layer.0", "node_3", "Softmax", 31.4, "bounds", BEGINS),
        ),
    )


BEGINS = "the first operator that is off is node_3"
LACKING = "the graph shows no stream"
CAUSE = "rope-pairs-interleaved"


def of_two(hostile: str = f"{SCRIPT} {IMAGE} {QUOTES} {CLOSERS}") -> Report:
    """Return the golden report as one of two candidates."""
    report = golden(hostile)
    second = dataclasses.replace(report.candidate, name=f"second {hostile}")
    contract = dataclasses.replace(CONTRACT, name="bf16", output="bfloat16")
    against = Against(f"second {hostile}", second, contract, report.models)
    return dataclasses.replace(report, against=against)


def conformant() -> Report:
    """Return the golden report with only what passed or is not applicable."""
    kept = tuple(r for r in results() if r.verdict <= Verdict.PASS)
    return dataclasses.replace(golden("acme"), outcome=Outcome.CONFORMANT, requirements=kept)
