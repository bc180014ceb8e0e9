"""Several runs as one page: candidates, requirements by candidate, and how far they are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.report import _facts, _several
from conformance.report._text import line
from conformance.report.html.failures import scroller
from conformance.report.html.markup import Markup, element
from conformance.report.html.overview import badge, css

if TYPE_CHECKING:
    from conformance.records import Distance, Report, RequirementResult, SideBySide

_NAME = 120
_ABOUT = ("candidate", "version", "device", "precision", "outcome", "passed", "from exact")


def body(several: SideBySide) -> list[Markup]:
    """Return the page's header, its sections and its foot."""
    header = element(
        "header",
        element("p", "LLM conformance, runs side by side", class_="eyebrow"),
        element("h1", element("span", _several.title(several))),
        element("p", _several.inputs(several), class_="lede"),
        class_="hero none",
    )
    sections = (_candidates(several), _distances(several), _requirements(several))
    foot = element(
        "footer",
        element("p", "A view of the records of the runs. They are certified; this page is not."),
    )
    return [header, element("main", *sections), foot]


def _candidates(several: SideBySide) -> Markup:
    names = _several.names(several)
    rows = [
        _candidate(name, report, exact)
        for name, report, exact in zip(names, several.reports, several.exact, strict=True)
    ]
    heads = (element("th", head, scope="col") for head in _ABOUT)
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    return _section("candidates", "Candidates", scroller("What each candidate is", table))


def _candidate(name: str, report: Report, exact: Distance) -> Markup:
    info = report.candidate
    outcome = element("span", report.outcome.value, class_=f"badge {report.outcome.value}")
    return element(
        "tr",
        element("th", element("code", line(name, _NAME)), scope="row"),
        element("td", f"{line(info.name, _NAME)} {line(info.version, _NAME)}"),
        element("td", line(info.device, _NAME)),
        element("td", _facts.precision(report)),
        element("td", outcome),
        element("td", _several.score(report), class_="number"),
        element("td", _several.distance(exact), class_="number", title=_several.described(exact)),
    )


def _distances(several: SideBySide) -> Markup:
    """Return the heat map: a table whose cells are coloured, so that it is read without colours."""
    names = [line(name, _NAME) for name in _several.names(several)]
    heads = [_head(name) for name in (_several.EXACT, *names)]
    rows = []
    for i, (name, found) in enumerate(zip(names, several.distances, strict=True)):
        cells = [_cell(several.exact[i], f"{name} from {_several.EXACT}", "exact")]
        cells += [
            _cell(one, f"{name} from {names[j]}")
            if i != j
            else element("td", "", class_="self", aria_label="itself")
            for j, one in enumerate(found)
        ]
        rows.append(element("tr", element("th", element("code", name), scope="row"), *cells))
    corner = element("td", "noise units", class_="corner")
    table = element(
        "table",
        element("thead", element("tr", corner, *heads)),
        element("tbody", *rows),
        class_="grid",
    )
    measured = _several.are_apart(several)
    left_out = [element("li", text) for text in _several.unevaluated(several)]
    return _section(
        "distances",
        "How far they are apart",
        element("p", _several.MEANING, class_="prose") if measured else None,
        _legend() if measured else None,
        scroller("Distances between candidates in noise units", table) if measured else None,
        element("h3", "Not evaluated") if left_out else None,
        element("ul", *left_out, class_="prose") if left_out else None,
    )


def _head(name: str) -> Markup:
    return element("th", element("span", name), scope="col", class_="upright")


def _cell(found: Distance, between: str, kind: str = "") -> Markup:
    heat = _several.heat(found)
    step = "unknown" if heat is None else f"heat{heat}"
    told = f"{between}: {_several.described(found)}"
    return element("td", _several.distance(found), class_=f"{kind} {step}".strip(), title=told)


def _legend() -> Markup:
    steps = (element("li", text, class_=f"heat{i}") for i, text in enumerate(_several.legend()))
    return element("ul", *steps, class_="scale", aria_label="colours, in noise units")


def _requirements(several: SideBySide) -> Markup:
    heads = [_head(line(name, _NAME)) for name in _several.names(several)]
    rows = [_row(one, results) for one, results in _several.rows(several)]
    table = element(
        "table",
        element("thead", element("tr", element("td", "requirement", class_="corner"), *heads)),
        element("tbody", *rows),
        class_="grid",
    )
    note = (
        "The verdict of each requirement, and the share of its limit that was left: 100% is exact. "
        "A limit is that of the precision that a candidate claims."
    )
    return _section(
        "requirements",
        "Requirements by candidate",
        element("p", note, class_="prose"),
        scroller("Verdict of each requirement by candidate", table),
    )


def _row(one: RequirementResult, results: list[RequirementResult]) -> Markup:
    statement = element("span", line(one.requirement.statement, 160), class_="note")
    head = element("th", one.requirement.id, statement, scope="row")
    return element("tr", head, *map(_verdict, results))


def _verdict(result: RequirementResult) -> Markup:
    _, left = _several.cell(result)
    content = [badge(result.verdict), element("small", left) if left else None]
    return element("td", *content, class_=f"verdict {css(result.verdict)}")


def _section(name: str, title: str, *content: Markup | None) -> Markup:
    return element("section", element("h2", title, id=name), *content, aria_labelledby=name)
