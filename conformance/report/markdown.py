"""A report as Markdown, for the summary of a CI job, with the outcome first.

GitHub refuses a summary of more than 1 MiB, so the text is bounded and says what it leaves out.
Text from outside is written in character references: Markdown never takes those for structure,
in a table cell neither.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from conformance.records import Outcome, Verdict
from conformance.report import _facts, _fingerprint, _several
from conformance.report._text import cut, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from conformance.records import CaseResult, Report, RequirementResult, SideBySide

LIMIT = 900_000
"""Bytes of UTF-8: below GitHub's 1 MiB, because other steps of a job write to the summary too."""
_NAME, _SENTENCE, _MESSAGE, _CASES, _IDS = 200, 400, 4_000, 5, 50
"""Characters of a name, of a sentence and of a message; cases of one requirement; ids listed."""
_MARKS = {
    Outcome.CONFORMANT: "✅",
    Outcome.CONDITIONAL: "⚠️",
    Outcome.NONCONFORMANT: "❌",
    Outcome.INCOMPLETE: "⚠️",
}


def render(report: Report) -> str:
    """Return the report as GitHub-flavoured Markdown of at most ``LIMIT`` bytes."""
    page = _Page(LIMIT - 1_000)  # the rest is for the line that says what was cut
    failed = _facts.failures(report)
    page.add("head", [_head(report)])
    likely = {r.requirement.id: _facts.diagnosis(report, r.requirement.id) for r in failed}
    page.add("failures", [_failure(r, likely[r.requirement.id]) for r in failed])
    page.add("requirements", [_TABLE_HEAD, *map(_row, report.requirements)], joined="\n")
    page.add("reasons", _not_evaluated(report), joined="\n")
    page.add("foot", [_foot(report)])
    return page.text()


def render_several(runs: SideBySide) -> str:
    """Return several runs side by side as Markdown of at most ``LIMIT`` bytes."""
    names = [_code(name) for name in _several.names(runs)]
    page = _Page(LIMIT - 1_000)
    page.add(
        "head",
        [f"## {escape(line(_several.title(runs)))}\n\n{escape(line(_several.inputs(runs)))}"],
    )
    about = [
        (
            name,
            _code(_facts.precision(report)),
            f"{_MARKS[report.outcome]} {report.outcome.value}",
            _several.score(report),
            _several.distance(exact),
        )
        for name, report, exact in zip(names, runs.reports, runs.exact, strict=True)
    ]
    heads = ("candidate", "precision", "outcome", "passed", "noise units from exact")
    page.add("candidates", _grid(heads, about), joined="\n")
    apart = [
        (name, *("" if i == j else _several.distance(one) for j, one in enumerate(found)))
        for i, (name, found) in enumerate(zip(names, runs.distances, strict=True))
    ]
    if _several.are_apart(runs):
        page.add("distances", [f"### Noise units apart\n\n{_several.MEANING}"])
        page.add("distances", _grid(("", *names), apart), joined="\n")
    page.add("reasons", [f"- not evaluated: {_code(t)}" for t in _several.unevaluated(runs)], "\n")
    verdicts = [
        (escape(one.requirement.id), *(" ".join(_several.cell(r)).strip() for r in results))
        for one, results in _several.rows(runs)
    ]
    page.add("requirements", ["### Requirements"])
    page.add("requirements", _grid(("requirement", *names), verdicts), joined="\n")
    return page.text()


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


class _Page:
    """Blocks of text that are added as long as they fit, and counted where they do not."""

    def __init__(self, limit: int) -> None:
        self._left, self._blocks, self._cut = limit, list[str](), dict[str, int]()

    def add(self, kind: str, blocks: Iterable[str], joined: str = "\n\n") -> None:
        kept = []
        for block in blocks:
            size = len((block + joined).encode())
            if size > self._left or kind in self._cut:
                self._cut[kind] = self._cut.get(kind, 0) + 1
            else:
                self._left -= size
                kept.append(block)
        if kept:
            self._blocks.append(joined.join(kept))

    def text(self) -> str:
        blocks = list(self._blocks)
        if self._cut:
            told = ", ".join(f"{count} {kind}" for kind, count in self._cut.items())
            blocks.append(f"**Cut to fit a job summary:** {told}. `report.json` has all of them.")
        return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Return text in which everything but letters, digits, blanks and `,.-/` is a reference."""
    return "".join(
        c if c.isalnum() or c in " ,.-/" or not c.isascii() else f"&#{ord(c)};" for c in text
    )


def _code(text: str, limit: int = _NAME) -> str:
    """Return text as inline code. GitHub looks for no @mention in it."""
    return f"<code>{escape(line(text, limit))}</code>"


def _head(report: Report) -> str:
    mark = _MARKS[report.outcome]
    contract = escape(line(report.contract.name, _NAME))
    title = f"{report.outcome.value}: {escape(line(report.profile, _NAME))}, {contract}"
    return (
        f"## {mark} {title}\n\n"
        f"{_code(_facts.candidate(report), 4 * _NAME)}\n\n"
        f"{_union(report)}{_against(report)}{_models(report)}{_precision(report)}"
        f"{_facts.score(report)}. {_facts.meaning(report)}"
    )


def _union(report: Report) -> str:
    told = escape(line(_facts.union(report), 4 * _NAME))
    return f"The profile is {told}.\n\n" if told else ""


def _against(report: Report) -> str:
    told = _facts.against(report)
    return f"held against {_code(told, 4 * _NAME)}\n\n" if told else ""


def _models(report: Report) -> str:
    return f"Models: {_code(_facts.models(report), 4 * _NAME)}\n\n" if report.models else ""


def _precision(report: Report) -> str:
    told = _fingerprint.summary(report)
    return f"Precision: {escape(line(told, 4 * _NAME))}.\n\n" if told else ""


_TABLE_HEAD = (
    "### Requirements\n\n"
    "| requirement | level | verdict | worst | headroom | statement |\n"
    "| --- | --- | --- | --: | --: | --- |"
)


def _row(result: RequirementResult) -> str:
    worst = _facts.figure(result)
    verdict = _facts.word(result.verdict) + (" (waived)" if result.waiver else "")
    cells = (
        escape(result.requirement.id),
        result.requirement.level.value,
        f"**{verdict}**" if result.verdict in _facts.BAD else verdict,
        escape(f"{_facts.number(worst.observed)} {line(worst.unit, _NAME)}") if worst else "",
        _facts.percent(worst.headroom) if worst else "",
        escape(line(result.requirement.statement, _SENTENCE)),
    )
    return f"| {' | '.join(cells)} |"


def _failure(result: RequirementResult, likely: Mapping[str, str]) -> str:
    cases = _facts.bad_cases(result)
    statement = escape(line(result.requirement.statement, _SENTENCE))
    summary = f"<b>{escape(result.requirement.id)} {_facts.word(result.verdict)}</b> {statement}"
    shown = [_case(case) for case in cases[:_CASES]] or [_pre(_facts.reason(result))]
    if len(cases) > _CASES:
        shown.append(f"{len(cases) - _CASES} more cases: <code>report.json</code> has them.")
    told = [f"{label}: {_code(text, _SENTENCE)}" for label, text in likely.items()]
    shown = [*told, *shown]
    if result.waiver:
        shown.insert(0, f"Waived: {_code(result.waiver, _SENTENCE)}")
    body = "\n\n".join(shown)
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _case(case: CaseResult) -> str:
    facts = [case.message or "no message"]
    facts += [f"counterexample: {case.counterexample}"] if case.counterexample else []
    facts += [f"reproduce: {case.reproduce}"] if case.reproduce else []
    flaky = f" ({_facts.FLAKY})" if case.flaky else ""
    return f"{_code(case.id, _SENTENCE)} {_facts.word(case.verdict)}{flaky}\n\n" + _pre(
        "\n".join(cut(fact, _MESSAGE) for fact in facts)
    )


def _pre(text: str) -> str:
    # A <pre> goes on to its end tag, blank lines included, and what stands in it is HTML alone.
    return f"<pre>{html.escape(cut(text, 4 * _MESSAGE))}</pre>"


def _not_evaluated(report: Report) -> list[str]:
    found = _facts.not_evaluated(report)
    lines = []
    for (verdict, reason), ids in found.items():
        listed = ", ".join(ids[:_IDS]) + (f" and {len(ids) - _IDS} more" if ids[_IDS:] else "")
        lines.append(f"- {verdict}: {_code(reason, _SENTENCE)} ({escape(listed)})")
    if not lines:
        return []
    return ["### Not evaluated\n\n" + lines[0], *lines[1:]]


def _foot(report: Report) -> str:
    run = report.run
    passed = sum(result.verdict is Verdict.PASS for result in report.requirements)
    counted = f"{passed} passed of {len(report.requirements)} in the profile"
    how = "; ".join(_facts.assurance(report))
    standard = escape(line(report.suite.get("spec", "unknown"), _NAME))
    took = _facts.run_time(report)
    most = f", most of it for {told}" if (told := escape(_facts.costliest(report))) else ""
    return f"{how}. {counted}, seed {run.seed}, standard {standard}. Took {took}{most}."
