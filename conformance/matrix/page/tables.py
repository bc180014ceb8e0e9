"""The tables of the kill matrix's page."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from conformance.report.html.markup import Content, Markup, element, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Document = Mapping[str, Any]

_THREAD = re.compile(r"([\w.-]+/[\w.-]+)#(\d+)")
_SHORT = {"noise units": "noise", "bounds": "rho"}
"""Units in a cell, where there is little room."""


def grid(rows: Sequence[Document], part: Document) -> Markup:
    """Return a row for each mutant, and a column for each requirement that failed one of them."""
    failing = {c["requirement"] for row in rows for c in row["cells"] if c["verdict"] != "PASS"}
    columns = [row["id"] for row in part["requirements"] if row["id"] in failing]
    head = element("tr", *_heads(("mutant", "what is wrong", "seen in")), *map(_rotated, columns))
    lines = [_line(row, columns) for row in rows]
    return element("table", element("thead", head), element("tbody", *lines), class_="grid")


def _heads(names: Iterable[str]) -> list[Markup]:
    return [element("th", name, scope="col") for name in names]


def _rotated(name: str) -> Markup:
    return element("th", element("span", name), scope="col", class_="turned")


def _line(row: Document, columns: list[str]) -> Markup:
    cells = {cell["requirement"]: cell for cell in row["cells"]}
    return element(
        "tr",
        element("th", _opened(row), scope="row"),
        element("td", row["summary"], class_="words"),
        element("td", _bug(row["bug"]), class_="bug"),
        *(_cell(cells.get(column)) for column in columns),
        class_="mutant",
    )


def _opened(row: Document) -> Markup:
    """Return a mutant's name, which opens to what each requirement's checks found."""
    kills = [cell for cell in row["cells"] if cell["verdict"] != "PASS"]
    if not kills:
        return Markup(element("span", row["name"]))
    items = (
        element("li", f"{cell['requirement']}: {_measured(cell)}; ", *_names(cell["failed"]))
        for cell in kills
    )
    return element("details", element("summary", row["name"]), element("ul", *items))


def _names(checks: Sequence[str]) -> list[Content]:
    """Return names of checks, which may break at their underscores."""
    pieces: list[Content] = []
    for check in checks:
        pieces += [", "] * bool(pieces)
        for word in check.split("_"):
            pieces += [word, Markup("_<wbr>")]
        pieces.pop()
    return pieces


def _bug(bug: str) -> Content:
    thread = _THREAD.fullmatch(bug)
    if thread is None:
        return "many places" if bug == "generic" else bug
    page = f"https://github.com/{thread[1]}/issues/{thread[2]}"
    written = (join(part, Markup("<wbr>")) for part in re.split(r"(?<=[/#])", bug))
    return element("a", *written, href=page, rel="noreferrer")


def _cell(cell: Document | None) -> Markup:
    if cell is None:
        return element("td")
    if cell["verdict"] == "PASS":
        return element("td", "·")
    if cell["verdict"] != "FAIL":
        return element("td", cell["verdict"].lower().replace("_", " "), class_="weak")
    return element("td", *_kill(cell), class_="kill")


def _kill(cell: Document) -> tuple[Content, ...]:
    if not _has_number(cell):
        return ("failed",)
    unit = _SHORT.get(cell["unit"], cell["unit"])
    return (_number(cell["observed"]), " ", element("small", unit))


def _has_number(cell: Document) -> bool:
    """Return whether a number tells the failure: a crash, or a wrong shape, has none."""
    return cell["observed"] is not None and float(cell["severity"]) < math.inf


def _measured(cell: Document) -> str:
    if cell["observed"] is None:
        return "failed without a number"
    told = f"{_number(cell['observed'])} {cell['unit']}"
    return f"{told}, allowed {_number(cell['limit'])}"


def _number(value: float | str) -> str:
    number = float(value)
    if math.isinf(number):
        return "∞"
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e6 else f"{number:.3g}"


def honest(part: Document) -> Markup:
    """Return the honest candidates with the worst that each requirement measured of them."""
    columns = [row["id"] for row in part["requirements"]]
    head = element("tr", *_heads(("candidate",)), *map(_rotated, columns))
    lines = []
    for row in part["honest"]:
        cells = {cell["requirement"]: cell for cell in row["cells"]}
        written = (join(part, Markup("<wbr>")) for part in re.split(r"(?<=[:?])", row["name"]))
        name = element("th", *written, scope="row")
        found = (_share(cells.get(column), row["known"]) for column in columns)
        lines.append(element("tr", name, *found))
    return element("table", element("thead", head), element("tbody", *lines), class_="grid")


def _share(cell: Document | None, known: Document) -> Markup:
    """Return what an honest candidate measured, as a share of the limit."""
    if cell is None or cell["verdict"] == "NOT_APPLICABLE":
        return element("td")
    if cell["verdict"] == "PASS":
        return element("td", f"{float(cell['severity']):.0%}")
    if cell["requirement"] in known:
        return element("td", "known", class_="weak")
    return element("td", cell["verdict"].lower().replace("_", " "), class_="alarm")


def alarms(part: Document) -> str:
    """Say what honest candidates were failed for: wrongly, or for a fault that is known."""
    wrong, known = [], []
    for row in part["honest"]:
        for cell in row["cells"]:
            if cell["requirement"] in row["known"]:
                known.append(
                    f"{row['name']}, {cell['requirement']}: {row['known'][cell['requirement']]}"
                )
            elif cell["verdict"] not in ("PASS", "NOT_APPLICABLE"):
                wrong.append(f"{row['name']} by {cell['requirement']}")
    told = f"False alarms: {'; '.join(wrong)}." if wrong else "No false alarm."
    found = f" Faults that are known of them: {'; '.join(known)}." if known else ""
    return f"{told} A number is the share of the limit that was used.{found}"


def survivors(part: Document) -> Markup:
    """Return the mutants that no requirement kills, with the reason or the figure."""
    rows = [row for row in part["mutants"] if row["fate"] != "killed"]
    if not rows:
        return element("p", "None.")
    lines = [
        element(
            "tr",
            element("th", row["name"], scope="row"),
            element("td", row["summary"], class_="words"),
            element("td", row["fate"], class_="" if row["fate"] == "equivalent" else "weak"),
            element("td", *_reason(row), class_="words"),
            class_="mutant",
        )
        for row in rows
    ]
    head = element(
        "tr", *_heads(("mutant", "what is wrong", "fate", "reason, or how near it came"))
    )
    return element("table", element("thead", head), element("tbody", *lines))


def _reason(row: Document) -> list[Content]:
    near = row["nearest"]
    if row["reason"] or near is None:
        return [str(row["reason"])]
    most = "" if near["honest"] is None else f"; honest candidates to {_number(near['honest'])}"
    return [f"{near['requirement']}: {_measured(near)}{most}; ", *_names([near["check"]])]


def noticed(part: Document) -> Markup:
    """Return the vacuity meter: the smallest fault that each requirement is known to notice."""
    lines = [
        element(
            "tr",
            element("th", row["id"], scope="row"),
            element("td", *_names(row["checks"]), class_="words"),
            element("td", str(row["kills"])),
            *_smallest(row["smallest"]),
        )
        for row in part["requirements"]
    ]
    heads = ("requirement", "checks", "kills", "smallest fault noticed", "measured", "by")
    return element(
        "table", element("thead", element("tr", *_heads(heads))), element("tbody", *lines)
    )


def _smallest(found: Document | None) -> tuple[Markup, ...]:
    if found is None:
        return (element("td", "none: not proved at this precision", colspan=3, class_="weak"),)
    return (
        element("td", found["mutant"], class_="words"),
        element("td", _measured(found) if _has_number(found) else "failed without a number"),
        element("td", *_names([found["check"]]), class_="words"),
    )
