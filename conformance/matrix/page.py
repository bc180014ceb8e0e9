"""The kill matrix as one self-contained HTML page: mutants down, requirements across."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from conformance.report.html.markup import Markup, element, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Document = Mapping[str, Any]

_INTRODUCTION = (
    "Each mutant is a candidate with exactly one fault. A number says how many times a limit was "
    "exceeded: that requirement failed the mutant. A dot is a requirement that the mutant passed; "
    "an empty cell is one whose checks cannot come upon the fault."
)


def render(document: Document) -> str:
    """Return the page for a document of schema ``kill-matrix``."""
    style = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", "Kill matrix"),
        element("style", Markup(style)),
    )
    suite = document["suite"]
    body = element(
        "main",
        element("h1", "Kill matrix"),
        element("p", f"Suite {suite['version']}, standard {suite['spec']}. {_INTRODUCTION}"),
        *map(_precision, document["precisions"]),
    )
    return f"<!doctype html>\n{element('html', head, element('body', body), lang='en')}\n"


def _precision(part: Document) -> Markup:
    score, fates = part["score"], part["fates"]
    told = f"{score['killed']} of {score['of']} mutants killed"
    others = ", ".join(f"{fates[name]} {name}" for name in fates if name != "killed")
    return element(
        "section",
        element("h2", f"{part['precision']}: {told}"),
        element("p", f"{others}. {_honest(part)}"),
        _scrolled(_grid(part), f"mutants at {part['precision']}"),
        element("h2", f"{part['precision']}: mutants that no requirement kills"),
        _survivors(part),
        element("h2", f"{part['precision']}: the smallest fault that each requirement notices"),
        _scrolled(_noticed(part), f"smallest faults at {part['precision']}"),
    )


def _honest(part: Document) -> str:
    names = [row["name"] for row in part["honest"]]
    bad = [
        row["name"]
        for row in part["honest"]
        if any(cell["verdict"] not in ("PASS", "NOT_APPLICABLE") for cell in row["cells"])
    ]
    alarms = f"False alarms: {', '.join(bad)}." if bad else "No false alarm."
    return f"Honest candidates: {', '.join(names)}. {alarms}"


def _grid(part: Document) -> Markup:
    columns = [row["id"] for row in part["requirements"]]
    head = element("tr", element("th", "mutant", scope="col"), *_heads(columns))
    lines = [_line(row, columns) for row in part["mutants"]]
    return element("table", element("thead", head), element("tbody", *lines), class_="grid")


def _heads(names: Iterable[str]) -> list[Markup]:
    return [element("th", name, scope="col") for name in names]


def _line(row: Document, columns: list[str]) -> Markup:
    cells = {cell["requirement"]: cell for cell in row["cells"]}
    name = element("th", row["name"], element("small", row["summary"]), scope="row")
    return element("tr", name, *(_cell(cells.get(column)) for column in columns))


def _cell(cell: Document | None) -> Markup:
    if cell is None:
        return element("td")
    if cell["verdict"] == "PASS":
        return element("td", "·")
    if cell["verdict"] == "FAIL":
        return element("td", _times(cell["severity"]), class_="kill")
    return element("td", cell["verdict"].lower(), class_="weak")


def _times(severity: float | str) -> str:
    value = float(severity)
    return f"{value:.3g}" if value < float("inf") else "∞"


def _survivors(part: Document) -> Markup:
    rows = [row for row in part["mutants"] if row["fate"] != "killed"]
    if not rows:
        return element("p", "None.")
    lines = [
        element(
            "tr",
            element("th", row["name"], element("small", row["summary"]), scope="row"),
            element("td", row["fate"], class_="weak"),
            element("td", _reason(row)),
        )
        for row in rows
    ]
    head = element("tr", *_heads(("mutant", "fate", "reason")))
    table = element("table", element("thead", head), element("tbody", *lines))
    return _scrolled(table, f"survivors at {part['precision']}")


def _reason(row: Document) -> str:
    """Return why a mutant survives; of one below the noise, how much of a limit it reaches."""
    nearest = max(row["cells"], key=lambda cell: float(cell["severity"]), default=None)
    figure = ""
    if nearest is not None:
        share = _times(nearest["severity"])
        figure = f"reaches {share} of the limit of {nearest['requirement']}"
    return ". ".join(part for part in (row["reason"].rstrip("."), figure) if part)


def _noticed(part: Document) -> Markup:
    lines = [
        element(
            "tr",
            element("th", row["id"], element("small", ", ".join(row["checks"])), scope="row"),
            element("td", str(row["kills"])),
            element("td", _smallest(row["smallest"])),
        )
        for row in part["requirements"]
    ]
    head = element("tr", *_heads(("requirement", "mutants killed", "smallest fault noticed")))
    return element("table", element("thead", head), element("tbody", *lines))


def _smallest(found: Document | None) -> str:
    if found is None:
        return "none: this requirement is not proved at this precision"
    return f"{found['mutant']}, at {_times(found['severity'])} times the limit"


def _scrolled(table: Markup, name: str) -> Markup:
    """Return a table that scrolls by itself, also by keyboard, so that the page never does."""
    return join(
        element("div", table, class_="scroll", tabindex="0", role="region", aria_label=name)
    )
