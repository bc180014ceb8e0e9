"""What went wrong, first and in full; and what was not evaluated, with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.report import _facts
from conformance.report._text import cut
from conformance.report.html.markup import Markup, element, join
from conformance.report.html.overview import badge, command, css, definitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.records import CaseResult, Report, RequirementResult

_CASES = 20
"""Bad cases of one requirement that are told in full; the record has all of them."""
_MESSAGE = 20_000
"""Characters of one message."""


def section(report: Report) -> Markup | None:
    """Return the failures, None where there are none."""
    found = _facts.failures(report)
    if not found:
        return None
    return element(
        "section",
        element("h2", "Failures", id="failures"),
        *(_failure(result, _facts.diagnosis(report, result.requirement.id)) for result in found),
        aria_labelledby="failures",
    )


def _failure(result: RequirementResult, likely: Mapping[str, str]) -> Markup:
    own, cases = result.requirement, _facts.bad_cases(result)
    link = element("a", own.id, href=f"#{own.id}")
    left = len(cases) - _CASES
    return element(
        "article",
        element("h3", badge(result.verdict), " ", link, " ", own.level.value),
        element("p", own.statement, class_="statement"),
        element("p", element("b", "Waived: "), result.waiver) if result.waiver else None,
        *(element("p", element("b", f"{label}: "), text) for label, text in likely.items()),
        element("p", result.reason) if result.reason else None,
        *map(_case, cases[:_CASES]),
        element("p", f"{left} more cases: report.json has all of them.") if left > 0 else None,
        element("p", "No case tells more.") if not (cases or result.reason) else None,
        class_=f"failure {css(result.verdict)}",
    )


def _case(case: CaseResult) -> Markup:
    flaky = element("span", _facts.FLAKY, class_="note") if case.flaky else None
    kept = element("code", case.counterexample) if case.counterexample else ""
    return element(
        "div",
        element("h4", badge(case.verdict), " ", element("code", case.id), " ", flaky),
        _message(case.message),
        definitions(
            [
                _place(case),
                ("counterexample", kept),
                ("reproduce", command(case.reproduce) if case.reproduce else ""),
            ]
        ),
        class_="case",
    )


def _place(case: CaseResult) -> tuple[str, str]:
    """Return where the worst error was, and of which inputs: the message is of the stored ones.

    The stored inputs are the smallest that failed; others, seldom stored, were further off.
    """
    worst = _facts.worst([case])
    if worst is None or not worst.where:
        return "where", ""
    if not case.counterexample:
        return "where", f"{worst.where} ({worst.metric})"
    seen = f"{_facts.number(worst.observed)} {worst.unit} ({worst.metric})"
    return "worst of all inputs", f"{seen} at {worst.where}"


def _message(text: str) -> Markup | None:
    return element("pre", cut(text, _MESSAGE), class_="message", tabindex="0") if text else None


def not_evaluated(report: Report) -> Markup:
    """Return what says nothing about the candidate, by reason."""
    found = _facts.not_evaluated(report)
    rows = [
        element(
            "tr",
            element("th", verdict, scope="row"),
            element("td", cut(reason, _MESSAGE)),
            element("td", *_links(ids)),
        )
        for (verdict, reason), ids in found.items()
    ]
    heads = (element("th", text, scope="col") for text in ("verdict", "reason", "requirements"))
    told = [
        element("p", "None of these counts as passed."),
        scroller(
            "What was not evaluated",
            element("table", element("thead", element("tr", *heads)), element("tbody", *rows)),
        ),
    ]
    if not rows:
        told = [element("p", "Nothing: every requirement of the profile was evaluated.")]
    title = element("h2", "Not evaluated", id="not-evaluated")
    return element("section", title, *told, aria_labelledby="not-evaluated")


def _links(ids: list[str]) -> list[Markup]:
    return [join(element("a", i, href=f"#{i}"), " ") for i in ids]


def scroller(label: str, table: Markup) -> Markup:
    """Return a table that scrolls by itself where the screen is too narrow for it."""
    return element("div", table, class_="scroll", role="region", aria_label=label, tabindex="0")
