"""A report as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from conformance.records import Outcome
from conformance.report import _facts, _fingerprint, _several
from conformance.report._text import line, terminal_width, visible, wrapped
from conformance.verdicts import NOT_SELECTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.records import CaseResult, Report, RequirementResult, SideBySide

_WIDEST = 140
"""Columns of a terminal that are written to; a statement is cut to what the others leave."""
_SHORTEST = 24
"""Columns below which a statement is left out: `explain` and the record have it."""
_REASON = 300
"""Characters of a reason; the failures above it and the record have the whole."""
_SHOWN_FAILURES = 3
"""Failing cases of one requirement that are told in full; the record has all of them."""


def render(report: Report) -> str:
    """Return the table, the failures in detail, what was not evaluated, and the outcome."""
    # What was not selected is named below the table; rows of it would only hide the others.
    parts = [_table([r for r in report.requirements if r.reason != NOT_SELECTED])]
    parts += [_failure(result, report) for result in _facts.failures(report)]
    parts += [headline(report)]
    return "\n\n".join(parts) + "\n"


def render_several(runs: SideBySide) -> str:
    """Return several runs side by side: outcomes, distances in noise units, verdicts."""
    names = [f"{i}  {line(name)}" for i, name in enumerate(_several.names(runs), 1)]
    numbers = [str(i) for i in range(1, len(names) + 1)]
    about = [
        (name, _facts.precision(report), report.outcome.value, _several.score(report))
        for name, report in zip(names, runs.reports, strict=True)
    ]
    apart = [
        (
            name,
            _several.distance(exact),
            *("" if i == j else _several.distance(one) for j, one in enumerate(found)),
        )
        for i, (name, exact, found) in enumerate(
            zip(names, runs.exact, runs.distances, strict=True)
        )
    ]
    verdicts = [
        (one.requirement.id, *(" ".join(_several.cell(result)).strip() for result in results))
        for one, results in _several.rows(runs)
    ]
    measured = _several.are_apart(runs)
    meaning = f"{_several.MEANING} " if measured else ""
    parts = [
        line(_several.title(runs)),
        _grid(about, ("run", "precision", "outcome", "passed")),
        *([_grid(apart, ("noise units apart", _several.EXACT, *numbers))] * measured),
        *[wrapped(f"not evaluated: {text}", "", "  ") for text in _several.unevaluated(runs)],
        _grid(verdicts, ("requirement", *numbers)),
        wrapped(line(f"{meaning}{_several.inputs(runs)}"), "", "", _WIDEST),
    ]
    return "\n\n".join(parts) + "\n"


def _grid(rows: Sequence[tuple[str, ...]], heads: Sequence[str]) -> str:
    return tabulate(rows, heads, tablefmt="simple", disable_numparse=True)


def headline(report: Report) -> str:
    """Return the outcome in one paragraph, with everything that it must never be read without."""
    lines = [_facts.outcome(report), f"candidate {_facts.candidate(report)}"]
    lines += [f"profile {report.profile}: {union}"] if (union := _facts.union(report)) else []
    lines += [f"held against {_facts.against(report)}"] if report.against else []
    lines += [f"models {_facts.models(report)}"] if report.models else []
    lines += [computes] if (computes := _fingerprint.summary(report)) else []
    lines += [_facts.score(report)]
    for (verdict, reason), ids in _facts.not_evaluated(report).items():
        lines.append(f"{verdict.lower()}: {line(reason, _REASON)} ({', '.join(ids)})")
    run = report.run
    how = "; ".join(_facts.assurance(report))
    lines.append(f"{how}; seed {run.seed}")
    lines.append(f"took {_facts.run_time(report)}")
    lines += [f"most of it for {costliest}"] if (costliest := _facts.costliest(report)) else []
    first, *others = map(line, lines)
    told = [wrapped(other, "  ", "    ", _WIDEST) for other in others]
    return "\n".join([first, *told])


def _table(results: Sequence[RequirementResult]) -> str:
    """Return a row a requirement, with as much of the statement as the terminal has room for."""
    rows = [_row(result) for result in results]
    heads = ["requirement", "level", "verdict", "worst", "headroom"]
    rule = tabulate(rows, heads, tablefmt="simple", disable_numparse=True).splitlines()[1]
    room = terminal_width(_WIDEST) - len(rule) - 2
    if room >= _SHORTEST:
        heads.append("statement")
        rows = [
            (*row, line(result.requirement.statement, room))
            for row, result in zip(rows, results, strict=True)
        ]
    return tabulate(rows, heads, tablefmt="simple", disable_numparse=True)


def _row(result: RequirementResult) -> tuple[str, ...]:
    worst = _facts.figure(result)
    return (
        result.requirement.id,
        result.requirement.level.value,
        _facts.word(result.verdict) + (" (waived)" if result.waiver else ""),
        line(f"{_facts.number(worst.observed)} {worst.unit}") if worst else "",
        _facts.percent(worst.headroom) if worst else "",
    )


def _failure(result: RequirementResult, report: Report) -> str:
    statement = line(result.requirement.statement)
    lines = [f"{result.requirement.id} {_facts.word(result.verdict)}  {statement}"]
    bad = _facts.bad_cases(result)
    for case in bad[:_SHOWN_FAILURES]:
        lines += _case(case)
    if len(bad) > _SHOWN_FAILURES:
        lines.append(f"  ... and {len(bad) - _SHOWN_FAILURES} more cases")
    if not bad:
        lines.append(f"  {line(_facts.reason(result))}")
    for label, text in _facts.diagnosis(report, result.requirement.id).items():
        lines.append(f"  {label.lower()}: {line(text)}")
    if result.waiver:
        lines.append(f"  waived: {line(result.waiver)}")
    return "\n".join(lines)


def _case(case: CaseResult) -> list[str]:
    flaky = f" ({_facts.FLAKY})" if case.flaky else ""
    message = visible(case.message).replace("\n", "\n    ")
    lines = [f"  {line(case.id)}{flaky}", f"    {message}"]
    if case.reproduce:
        lines.append(f"    reproduce: {line(case.reproduce)}")
    return lines


def exit_note(outcome: Outcome) -> str:
    """Return what to do next, in one sentence, for an outcome that is not conformant."""
    return {
        Outcome.CONFORMANT: "",
        Outcome.CONDITIONAL: "A waived requirement failed.",
        Outcome.NONCONFORMANT: "Run `llm-conformance explain ID` for what a requirement means.",
        Outcome.INCOMPLETE: "Not everything was evaluated, and that never counts as passed.",
    }[outcome]
