"""The list of requirements: what each says, its verdict, and its cases with all measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.records import Level, Verdict
from conformance.report import _facts
from conformance.report._text import line
from conformance.report.html.failures import scroller
from conformance.report.html.markup import Content, Markup, element, join
from conformance.report.html.overview import badge, css, definitions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.records import CaseResult, Measurement, Report, RequirementResult

_CASES = 500
"""Cases shown of one requirement, the bad ones first; the record has all of them."""
_NOTES = 5
"""Notes shown of one requirement."""
_MESSAGE = 300
_HEADS = (
    "case",
    "verdict",
    "metric",
    "observed",
    "limit",
    "unit",
    "headroom",
    "worst at",
    "n",
    "time",
)
_NUMBERS = (3, 4, 6, 8, 9)


def section(report: Report) -> Markup:
    """Return the requirements with the form that filters them."""
    return element(
        "section",
        element("h2", "Requirements", id="requirements"),
        _form(report),
        element(
            "div",
            *(_requirement(result, report) for result in report.requirements),
            class_=_columns(report),
        ),
        element("p", "No requirement matches.", id="no-match", hidden=True),
        aria_labelledby="requirements",
    )


def _columns(report: Report) -> str:
    """Return the class of the list: rows of PASS and FAIL alone have more room for sentences."""
    short = all(result.verdict in (Verdict.PASS, Verdict.FAIL) for result in report.requirements)
    return "requirements short" if short else "requirements"


def _form(report: Report) -> Markup:
    """Return the filter, hidden until the script that it needs has run."""
    verdicts = sorted({result.verdict for result in report.requirements}, reverse=True)
    levels = [
        level for level in Level if any(r.requirement.level is level for r in report.requirements)
    ]
    search = element(
        "p",
        element("label", "Search", for_="search"),
        element("input", type="search", id="search", autocomplete="off", spellcheck="false"),
        class_="search",
    )
    return element(
        "form",
        search,
        _choices("verdict", [(css(v), _facts.word(v)) for v in verdicts]),
        _choices("level", [(level.value, level.value) for level in levels]),
        element(
            "p",
            element("button", "Open all", type="button", id="open-all"),
            element("output", "", id="shown", aria_live="polite"),
            class_="actions",
        ),
        id="filter",
        role="search",
        aria_label="Filter the requirements",
        hidden=True,
    )


def _choices(name: str, values: Iterable[tuple[str, str]]) -> Markup:
    boxes = (
        element(
            "label",
            element("input", type="checkbox", name=name, value=value, checked=True),
            " ",
            told,
        )
        for value, told in values
    )
    return element("fieldset", element("legend", name), *boxes)


def _requirement(result: RequirementResult, report: Report) -> Markup:
    own, worst = result.requirement, _facts.figure(result)
    summary = element(
        "summary",
        element("span", own.id, class_="id"),
        element("span", own.level.value, class_="level"),
        badge(result.verdict),
        element("span", own.statement, class_="statement"),
        element("span", _worst(worst), class_="worst"),
        element("span", _headroom(worst), class_="headroom"),
    )
    return element(
        "details",
        summary,
        element("div", definitions(_about(result, report)), _cases(result), class_="body"),
        id=own.id,
        class_=f"requirement {css(result.verdict)}",
        data_verdict=css(result.verdict),
        data_level=own.level.value,
    )


def _worst(worst: Measurement | None) -> Content:
    if worst is None:
        return None
    observed, limit = _facts.number(worst.observed), _facts.number(worst.limit)
    if worst.limit == 0:
        return join(observed, element("small", f" {worst.unit}, none allowed"))
    return join(f"{observed} of {limit}", element("small", f" {worst.unit}"))


def _headroom(worst: Measurement | None) -> Content:
    if worst is None:
        return element("small", "not measured")
    told = _facts.percent(worst.headroom)
    if told == "none":
        return "no headroom"
    if worst.headroom < 0:
        return join(f"{_facts.number(_facts.share(worst))} x", element("small", " the limit"))
    return join(told, element("small", " headroom"))


def _about(result: RequirementResult, report: Report) -> list[tuple[str, Content]]:
    own = result.requirement
    told = result.reason or (_facts.reason(result) if result.verdict in _facts.UNEVALUATED else "")
    return [
        ("source", own.source),
        ("oracle", own.oracle.value.replace("_", " ")),
        ("operator", own.operator),
        ("needs", ", ".join(own.needs) or "no capability"),
        ("since", f"standard {own.since}"),
        ("waiver", result.waiver),
        ("reason", line(told, _MESSAGE)),
        ("took", _facts.requirement_time(result, report) if result.cases else ""),
        ("notes", _notes(result)),
    ]


def _notes(result: RequirementResult) -> Content:
    """Return what the checks could not tell, each once."""
    told = list(dict.fromkeys(note for case in result.cases for note in case.notes))
    if not told:
        return None
    left = len(told) - _NOTES
    more = element("p", f"{left} more notes: report.json has all of them.") if left > 0 else None
    return join(*(element("p", line(note, _MESSAGE)) for note in told[:_NOTES]), more)


def _cases(result: RequirementResult) -> Markup:
    if not result.cases:
        return element("p", "No case was run.")
    bad = _facts.bad_cases(result)
    ordered = [*bad, *(case for case in result.cases if case.verdict <= Verdict.PASS)]
    heads = (
        element("th", head, scope="col", class_="number" if i in _NUMBERS else None)
        for i, head in enumerate(_HEADS)
    )
    rows = (row for case in ordered[:_CASES] for row in _rows(case))
    left = len(ordered) - _CASES
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    more = element("p", f"{left} more cases: report.json has all of them.") if left > 0 else None
    return join(scroller(f"Cases of {result.requirement.id}", table), more)


def _rows(case: CaseResult) -> list[Markup]:
    """Return one row a measurement; the case, its verdict and its time stand in the first."""
    span = len(case.measurements) or 1
    note = f"{_facts.FLAKY}. " if case.flaky else ""
    note += line(case.message, _MESSAGE) if case.verdict is not Verdict.PASS else ""
    name = join(element("code", case.id), element("small", note, class_="note") if note else None)
    first = [
        element("th", name, scope="row", rowspan=span),
        element("td", badge(case.verdict), rowspan=span),
    ]
    last = element("td", _facts.seconds(case.duration), class_="number", rowspan=span)
    cells = [_measurement(measurement) for measurement in case.measurements]
    cells = cells or [[element("td", "no measurement", colspan=7, class_="none")]]
    rows = [element("tr", *first, *cells[0], last)]
    return rows + [element("tr", *more) for more in cells[1:]]


def _measurement(measurement: Measurement) -> list[Markup]:
    told = (
        measurement.metric,
        _facts.number(measurement.observed),
        _facts.number(measurement.limit),
        measurement.unit,
        _facts.percent(measurement.headroom),
        measurement.where or "-",
        str(measurement.count),
    )
    numbers = (1, 2, 4, 6)
    return [
        element("td", text, class_="number" if i in numbers else None)
        for i, text in enumerate(told)
    ]
