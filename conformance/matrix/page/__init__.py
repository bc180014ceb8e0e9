"""The kill matrix as one self-contained HTML page: mutants down by topic, requirements across.

What stands where is decided here, and what a table holds in ``tables``. Everything is shown without
the script, which adds a filter.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

from conformance.matrix.page import tables
from conformance.report.html.markup import Markup, element, join

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

_INTRODUCTION = (
    "Each mutant is a candidate with exactly one fault, most of them bugs that some implementation "
    "really had. A number is the worst that a requirement's checks measured until they failed the "
    "mutant, with its unit: noise units at the logits, or rho, the error as a share of the bound "
    "that was derived for the very input. A dot is a requirement that the mutant passed; an empty "
    "cell is one whose checks cannot come upon the fault, and a requirement that failed none of a "
    "topic has no column there. Each name opens: which check failed, by how much, and what was "
    "allowed."
)


def render(document: Document) -> str:
    """Return the page for a document of schema ``kill-matrix``."""
    style, script = _asset("style.css"), _asset("filter.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=f"{policy}; img-src data:"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", "Kill matrix"),
        element("style", style),
    )
    suite, parts = document["suite"], document["precisions"]
    body = element(
        "body",
        element(
            "header",
            element("h1", "Kill matrix"),
            element("p", f"Suite {suite['version']}, standard {suite['spec']}. {_INTRODUCTION}"),
            _contents(parts),
            _filter(),
        ),
        element("main", *map(_precision, parts)),
        element("script", script),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _asset(name: str) -> Markup:
    return Markup((resources.files(__name__) / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _topics(part: Document) -> dict[str, list[Document]]:
    """Return the mutants of each topic in order, those of operators apart from the decoder's."""
    found: dict[str, list[Document]] = {}
    for row in part["mutants"]:
        operator = row["replaces"].startswith("operator ")
        found.setdefault(f"{row['topic']}{' of operators' * operator}", []).append(row)
    return found


def _place(part: Document, name: str) -> str:
    return f"{part['precision']}-{_spoken(name).replace(' ', '-')}"


def _spoken(topic: str) -> str:
    return topic.replace("_", " ")


def _contents(parts: list[Document]) -> Markup:
    """Return links to each precision and its topics."""
    items = []
    for part in parts:
        names = ["honest candidates", *_topics(part), "not killed", "smallest faults"]
        links = (element("a", _spoken(name), href=f"#{_place(part, name)}") for name in names)
        score = element("a", _score(part), href=f"#{part['precision']}")
        items.append(element("li", score, element("span", *_spaced(links))))
    return element("nav", element("ul", *items), aria_label="Contents")


def _spaced(pieces: Any) -> list[Markup]:
    return [join(piece, " ") for piece in pieces]


def _filter() -> Markup:
    return element(
        "form",
        element("label", "Filter mutants", for_="search"),
        element(
            "input", id="search", type="search", placeholder="name, words, bug, requirement, check"
        ),
        element("output", "", id="shown", aria_live="polite"),
        id="filter",
        hidden=True,
    )


def _score(part: Document) -> str:
    score = part["score"]
    return f"{part['precision']}: {score['killed']} of {score['of']} mutants killed"


def _precision(part: Document) -> Markup:
    others = [f"{count} {name}" for name, count in part["fates"].items() if name != "killed"]
    graphs = [_section(part, "as exported graphs", tables.grid(part["exported"], part))]
    return element(
        "section",
        element("h2", _score(part), id=part["precision"]),
        element("p", f"Besides: {', '.join(others)}."),
        _section(part, "honest candidates", tables.honest(part), tables.alarms(part)),
        *(_section(part, topic, tables.grid(rows, part)) for topic, rows in _topics(part).items()),
        *(graphs if part["exported"] else []),
        _section(part, "not killed", tables.survivors(part)),
        _section(part, "smallest faults", tables.noticed(part)),
    )


def _section(part: Document, name: str, table: Markup, words: str = "") -> Markup:
    title = f"{part['precision']}: {_spoken(name)}"
    place = _place(part, name)
    return element(
        "section",
        element("h3", title, id=place),
        element("p", words) if words else None,
        # Scrolls by itself, also by keyboard, so that the page never does and heads stay in view.
        element("div", table, class_="scroll", tabindex="0", role="region", aria_label=title),
    )
