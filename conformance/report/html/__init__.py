"""A report as one HTML file that needs nothing else: no asset, no network, no JavaScript.

Everything that came from outside is text: elements are built by ``markup``, which escapes, and
the page's own policy lets no script and no style run but the two that it was written with.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from conformance.report import _facts, _several
from conformance.report._text import line
from conformance.report.html import (
    background,
    chart,
    failures,
    fingerprint,
    overview,
    requirements,
    several,
)
from conformance.report.html.markup import Markup, element, join

if TYPE_CHECKING:
    from conformance.records import Report, SideBySide

_TITLE = 200


def render(report: Report) -> str:
    """Return the report as a self-contained page."""
    style, script = _asset("style.css"), _asset("filter.js")
    title = line(f"{_facts.outcome(report)} - {_facts.candidate(report)}", _TITLE)
    body = element(
        "body",
        element("a", "Skip to the requirements", class_="skip", href="#requirements"),
        overview.header(report),
        element("main", *_sections(report)),
        overview.footer(report),
        element("script", script),
    )
    return _page(title, style, f"'{_hash(script)}'", body)


def render_several(runs: SideBySide) -> str:
    """Return several runs side by side as one self-contained page, which needs no script."""
    style = join(_asset("style.css"), _asset("several.css"))
    skip = element("a", "Skip to the requirements", class_="skip", href="#requirements")
    body = element("body", skip, *several.body(runs))
    return _page(line(_several.title(runs), _TITLE), style, "'none'", body)


def _page(title: str, style: Markup, scripts: str, body: Markup) -> str:
    """Return a page; ``scripts`` is what its policy lets run."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, scripts)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", style),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _sections(report: Report) -> list[Markup | None]:
    return [
        failures.section(report),
        overview.facts(report),
        fingerprint.section(report),
        chart.section(report),
        requirements.section(report),
        failures.not_evaluated(report),
        background.section(report),
    ]


def _asset(name: str) -> Markup:
    """Return one of the files of ours that are written into a page."""
    return join(Markup((resources.files(__name__) / name).read_text(encoding="utf-8")))


def _policy(style: str, scripts: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src {scripts}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
