"""The top of the page: the outcome, who was tested, and how far the run can be believed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from conformance.records import Level, Outcome, Verdict
from conformance.report import _declared, _facts
from conformance.report._text import line
from conformance.report.html.markup import Content, Markup, element, join
from conformance.verdicts import counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.records import CandidateInfo, Report

_NAME = 200
"""Characters of a name at the top; the card below it has the whole."""
_MARKS = {
    Outcome.CONFORMANT: "\N{CHECK MARK}",
    Outcome.CONDITIONAL: "!",
    Outcome.NONCONFORMANT: "\N{MULTIPLICATION SIGN}",
    Outcome.INCOMPLETE: "?",
}
_TILES = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.ERROR: "errors of the suite",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.NOT_RUN: "not run",
    Verdict.NOT_APPLICABLE: "not applicable",
}


def header(report: Report) -> Markup:
    """Return the outcome, the candidate and the counts."""
    info = report.candidate
    eyebrow = f"LLM conformance report, standard {report.suite.get('spec', 'unknown')}"
    mark = element("span", _MARKS[report.outcome], class_="mark", aria_hidden="true")
    name = line(f"{info.name} {info.version}", _NAME)
    verdict, _, scope = _facts.outcome(report).partition(": ")
    return element(
        "header",
        element("p", eyebrow, class_="eyebrow"),
        element("h1", mark, element("span", element("b", f"{verdict}:"), f" {scope}")),
        element("p", element("b", name), f" on {line(info.device, _NAME)}", class_="who"),
        _against(report),
        element("p", f"{_facts.score(report)}. {_facts.meaning(report)}", class_="lede"),
        element("p", f"Assurance: {'; '.join(_facts.assurance(report))}.", class_="lede"),
        _tiles(report),
        class_=f"hero {report.outcome.value}",
    )


def _against(report: Report) -> Markup | None:
    if report.against is None:
        return None
    other = report.against.candidate
    name = element("b", line(f"{other.name} {other.version}", _NAME))
    return element("p", "held against ", name, f" on {line(other.device, _NAME)}", class_="who")


def _tiles(report: Report) -> Markup:
    found = counts(report.requirements)
    always = (Verdict.PASS, Verdict.FAIL)
    tiles = [
        _tile(found[verdict.name], told, css(verdict))
        for verdict, told in _TILES.items()
        if found[verdict.name] or verdict in always
    ]
    unevaluated = sum(r.verdict not in always for r in report.requirements)
    if not unevaluated:
        tiles.append(_tile(0, "not evaluated", "none"))
    return element("ul", *tiles, class_="tiles")


def _tile(count: int, told: str, kind: str) -> Markup:
    kind = kind if count else "none"
    return element("li", element("b", str(count)), f" {told}", class_=f"tile {kind}")


def css(verdict: Verdict) -> str:
    """Return the CSS class of a verdict."""
    return verdict.name.lower().replace("_", "-")


def badge(verdict: Verdict) -> Markup:
    """Return a verdict as a coloured word."""
    return element("span", _facts.word(verdict), class_=f"badge {css(verdict)}")


def definitions(rows: Iterable[tuple[str, Content]]) -> Markup:
    """Return a list of terms and what they are; rows without content are left out."""
    return element(
        "dl",
        *(element("div", element("dt", term), element("dd", told)) for term, told in rows if told),
    )


def command(text: str) -> Markup:
    """Return a command to be copied; the button is the script's."""
    return element("pre", element("code", text), class_="command", tabindex="0")


def facts(report: Report) -> Markup:
    """Return the cards: candidate, assurance, precision and run; of a second one, two more."""
    second = []
    if report.against is not None:
        other = report.against
        claimed: list[tuple[str, Content]] = [("claimed", other.contract.name)]
        second = [
            _card("Held against", _candidate(other.candidate, other.text)),
            _card("Its precision contract", [*claimed, *_facts.terms(other.contract)]),
        ]
    return element(
        "section",
        element("h2", "What was tested, and how", id="facts"),
        element(
            "div",
            _card("Candidate", _candidate(report.candidate, report.run.candidate)),
            _card("Assurance", _assurance(report)),
            _card("Precision contract", [*_facts.contract(report)]),
            _card("Run", _run(report)),
            *second,
            class_="cards",
        ),
        aria_labelledby="facts",
    )


def _card(title: str, rows: list[tuple[str, Content]]) -> Markup:
    return element("div", element("h3", title), definitions(rows), class_="card")


def _candidate(info: CandidateInfo, text: str) -> list[tuple[str, Content]]:
    digests = [join(f"{name} ", element("code", value)) for name, value in info.digests.items()]
    return [
        ("name", f"{info.name} {info.version}"),
        ("runtime", info.runtime),
        ("device", info.device),
        ("claims", ", ".join(sorted(info.claims.capabilities)) or "no capability"),
        *([("chooses tokens by", told)] if (told := _declared.sampling(info)) else []),
        *([("tokenizes with", told)] if (told := _declared.tokenizer(info)) else []),
        ("asked for as", element("code", text)),
        ("digests", join(*(element("p", digest) for digest in digests))),
    ]


def _assurance(report: Report) -> list[tuple[str, Content]]:
    where, how = _facts.assurance(report)
    partial = "" if not report.run.partial else "partial: only some requirements were selected"
    waived = sum(result.waiver is not None for result in report.requirements)
    return [
        ("candidate", where),
        ("pytest", how),
        ("selection", partial or "complete: every requirement of the profile"),
        ("waivers", f"{waived} in use" if waived else "none"),
        ("suite", f"{report.suite.get('version', 'unknown')}"),
        ("kill matrix", report.suite.get("kill_matrix", "unknown")),
        ("self-test", report.suite.get("selftest", "unknown")),
        ("suite digest", element("code", report.suite.get("digest", "unknown"))),
    ]


def _run(report: Report) -> list[tuple[str, Content]]:
    run = report.run
    musts = sum(r.requirement.level is Level.MUST for r in report.requirements)
    cases = sum(len(result.cases) for result in report.requirements)
    return [
        ("profile", f"{report.profile}: {len(report.requirements)} requirements, {musts} MUST"),
        ("which is", _facts.union(report)),
        ("cases", str(cases)),
        ("started", element("time", run.started.replace("T", " ").replace("Z", " UTC"))),
        ("took", _facts.run_time(report)),
        ("most of it for", _facts.costliest(report)),
        ("seed", str(run.seed)),
        ("command", command(shlex.join(["llm-conformance", "run", *run.argv]))),
    ]


def footer(report: Report) -> Markup:
    """Return what the page is and what stands behind it."""
    return element(
        "footer",
        element(
            "p",
            "A view of the record ",
            element("code", "report.json"),
            f", made by llm-conformance {report.suite.get('version', 'unknown')}. "
            "The record is what is certified; this page is not.",
        ),
    )
