"""A report as JUnit XML: a test suite a requirement, a test case a case.

Viewers of JUnit know passed, failed, error and skipped. Only what is not applicable is skipped;
what should have been decided and was not is an error, so that nothing unevaluated looks passed,
and the outcome is a test case of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # XML is written here, never read

from conformance.records import CaseResult, Outcome, Verdict
from conformance.report import _facts
from conformance.report._text import line, visible

if TYPE_CHECKING:
    from conformance.records import Measurement, Report, RequirementResult

_ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "error",
    Verdict.NOT_RUN: "error",
    Verdict.NOT_APPLICABLE: "skipped",
}
_OUTCOMES = {
    Outcome.CONFORMANT: Verdict.PASS,
    Outcome.CONDITIONAL: Verdict.PASS,
    Outcome.NONCONFORMANT: Verdict.FAIL,
    Outcome.INCOMPLETE: Verdict.INCONCLUSIVE,
}


def render(report: Report) -> str:
    """Return the report as JUnit XML."""
    name = line(f"llm-conformance: {report.profile}, {report.contract.name}")
    root = ET.Element("testsuites", name=name)
    for result in report.requirements:
        _suite(root, report, result)
    _outcome(root, report)
    _count(root, report.run.duration)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ET.Element, report: Report, result: RequirementResult) -> None:
    own = result.requirement
    suite = ET.SubElement(root, "testsuite", name=own.id, timestamp=line(report.run.started))
    facts = {"level": own.level.value, "statement": own.statement, "source": own.source}
    facts["verdict"] = _facts.word(result.verdict)
    if result.waiver is not None:
        facts["waiver"] = result.waiver
    properties = ET.SubElement(suite, "properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=line(value))
    for case in _cases(result):
        _case(suite, case, result.waiver)
    _count(suite, sum(case.duration for case in result.cases))


def _cases(result: RequirementResult) -> list[CaseResult]:
    """Return the cases, and one for the requirement itself where they do not tell its verdict."""
    cases = list(result.cases)
    if result.verdict not in [case.verdict for case in cases]:
        identifier = result.requirement.id
        told = _facts.reason(result) if result.verdict is not Verdict.PASS else ""
        cases.append(CaseResult(identifier, identifier, result.verdict, 0.0, message=told))
    return cases


def _case(suite: ET.Element, case: CaseResult, waiver: str | None = None, kind: str = "") -> None:
    attributes = {"name": line(case.id), "classname": line(case.requirement)}
    element = ET.SubElement(suite, "testcase", attributes, time=f"{case.duration:.3f}")
    if case.verdict in _ELEMENTS:
        message = line(case.message, 500) or "no reason was recorded"
        kind = kind or _facts.word(case.verdict)
        kind += ", waived" if waiver and _failed(case) else ""
        told = ET.SubElement(element, _ELEMENTS[case.verdict], type=kind, message=message)
        told.text = "\n".join(_details(case))
    if case.measurements:
        ET.SubElement(element, "system-out").text = "\n".join(map(_measured, case.measurements))


def _failed(case: CaseResult) -> bool:
    return case.verdict is Verdict.FAIL


def _details(case: CaseResult) -> list[str]:
    told = [visible(case.message)]
    told += [_facts.FLAKY] if case.flaky else []
    told += [f"counterexample: {visible(case.counterexample)}"] if case.counterexample else []
    told += [f"reproduce: {visible(case.reproduce)}"] if case.reproduce else []
    return told


def _measured(measurement: Measurement) -> str:
    seen = f"{measurement.observed!r} {measurement.unit}, limit {measurement.limit!r}"
    where = f", worst at {measurement.where}" if measurement.where else ""
    return visible(f"{measurement.metric}: {seen}{where}, {measurement.count} compared")


def _outcome(root: ET.Element, report: Report) -> None:
    suite = ET.SubElement(root, "testsuite", name="outcome")
    against = f" Held against {_facts.against(report)}." if report.against else ""
    told = f"{_facts.outcome(report)}.{against} {_facts.meaning(report)} {_facts.score(report)}."
    verdict = _OUTCOMES[report.outcome]
    case = CaseResult(_facts.outcome(report), "outcome", verdict, 0.0, message=told)
    _case(suite, case, kind=report.outcome.value)
    _count(suite, 0.0)


def _count(element: ET.Element, duration: float) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for attribute, child in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(child) is not None for case in cases)))
    element.set("time", f"{duration:.3f}")
