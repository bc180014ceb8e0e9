"""The precision fingerprint: the candidate's error among the rounding noise of every type.

One ruler for each model. Its unit is the noise of the claimed type; every other type's noise stands
where honest arithmetic of that type errs, and the candidate where it does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import fingerprint
from conformance.records import Verdict
from conformance.report import _facts, _fingerprint
from conformance.report.html.drawing import WIDTHS, diamond, line, power, tick, words
from conformance.report.html.failures import scroller
from conformance.report.html.markup import Markup, element
from conformance.report.html.overview import css

if TYPE_CHECKING:
    from conformance.records import Report
    from conformance.report._fingerprint import Fingerprint

_HEIGHT, _EDGE = 150, 16
_LIMIT, _NAMES, _TRACK, _CANDIDATE, _TICKS, _AXIS = 12, (32, 48), 72, 100, 122, 143
"""Where things stand, from above: the limit's name, types in two rows so that neighbours have room,
the ruler, the candidate's figure, the scale, and what it counts."""
_THICK = 18
"""Of the ruler."""
_TICK = 44
"""Room for a number of the scale."""
_PROSE = (
    "Rounding errors tell the type in which they were made. Each ruler shows how large honest "
    "errors are in every type (the bars: from half of a type's noise to twice of it), and how "
    "large the candidate's error is on the frozen corpus. It has to lie left of the limit."
)


def section(report: Report) -> Markup | None:
    """Return a ruler for each model and their figures, None where none was taken."""
    found = _fingerprint.fingerprints(report)
    if not found:
        return None
    return element(
        "section",
        element("h2", "Precision fingerprint", id="fingerprint"),
        element("p", _PROSE, class_="prose"),
        element("div", *map(_figure, found, range(len(found))), class_="chart"),
        _table(found),
        aria_labelledby="fingerprint",
    )


def _figure(one: Fingerprint, number: int) -> Markup:
    caption = element(
        "figcaption", element("b", one.model), " ", element("span", one.told, class_="told")
    )
    drawings = (
        draw(one, f"fingerprint-{number}-{name}", name, width) for name, width in WIDTHS.items()
    )
    return element("figure", caption, *(drawings if one.drawable else ()), class_=css(one.verdict))


@dataclass(frozen=True, slots=True)
class _Ruler:
    """A logarithmic scale between two powers of ten."""

    width: int
    lowest: int
    highest: int

    def x(self, units: float) -> float:
        """Return where an error of so many units of the claimed type is drawn."""
        share = (power(units) - self.lowest) / (self.highest - self.lowest)
        return _EDGE + (self.width - 2 * _EDGE) * min(max(share, 0.0), 1.0)


def draw(one: Fingerprint, name: str, kind: str, width: int) -> Markup:
    """Return one model's ruler as SVG with a title and a description."""
    places = {name: one.own / units for name, units in one.units.items()}
    shown = [one.own, *places.values()]
    # Room for the bars, which reach from half to twice.
    lowest = math.floor(power(min(shown) * fingerprint.HALF))
    highest = math.ceil(power(max(shown) / fingerprint.HALF))
    ruler = _Ruler(width, lowest, highest)
    return element(
        "svg",
        element("title", f"Error on {one.model} among the noise of every type", id=f"{name}-title"),
        element("desc", f"{one.told}. The table below has the figures.", id=f"{name}-desc"),
        *_scale(ruler, one),
        *(
            part
            for row, (precision, place) in enumerate(places.items())
            for part in _type(ruler, precision, place, row)
        ),
        *_limit(ruler, one.measured[one.claimed].limit),
        *_candidate(ruler, one),
        class_=kind,
        viewBox=f"0 0 {width} {_HEIGHT}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def _scale(ruler: _Ruler, one: Fingerprint) -> list[Markup]:
    left, right = _EDGE, ruler.width - _EDGE
    limit, top = ruler.x(one.measured[one.claimed].limit), _TRACK - _THICK / 2
    apart = (right - left) / (ruler.highest - ruler.lowest)
    step = math.ceil(_TICK / apart)
    parts = [
        element("rect", x=left, y=top, width=right - left, height=_THICK, rx=4, class_="within"),
        element("rect", x=limit, y=top, width=right - limit, height=_THICK, rx=4, class_="beyond"),
    ]
    for exponent in range(ruler.lowest, ruler.highest + 1):
        x = ruler.x(10.0**exponent)
        parts.append(line(x, top + _THICK, x, top + _THICK + 5, "grid"))
        if not exponent % step:
            parts.append(words(tick(exponent), x, _TICKS, "tick", "middle"))
    told = f"error (RMS) in noise units of {_type_name(one.claimed)}, logarithmic"
    return [*parts, words(told, ruler.width / 2, _AXIS, "axis", "middle")]


def _type(ruler: _Ruler, precision: str, place: float, row: int) -> list[Markup]:
    """Return a type's bar and name; neighbours' names stand in different rows."""
    left, right = ruler.x(place * fingerprint.HALF), ruler.x(place / fingerprint.HALF)
    top, x, y = _TRACK - _THICK / 2, ruler.x(place), _NAMES[row % 2]
    return [
        element("rect", x=left, y=top, width=right - left, height=_THICK, rx=4, class_="noise"),
        line(x, _NAMES[-1] + 4, x, top + _THICK, "type"),
        words(_type_name(precision), x, y, "type-name", "middle"),
    ]


def _limit(ruler: _Ruler, limit: float) -> list[Markup]:
    x = ruler.x(limit)
    return [
        line(x, _LIMIT + 4, x, _TRACK + _THICK / 2 + 4, "limit"),
        words(f"limit {limit:g}", x, _LIMIT, "limit-name", "middle"),
    ]


def _candidate(ruler: _Ruler, one: Fingerprint) -> list[Markup]:
    x, kind = ruler.x(one.own), f"mark {css(one.verdict)}"
    mark = element("circle", cx=x, cy=_TRACK, r=6, class_=kind)
    if one.verdict is not Verdict.PASS:
        mark = diamond(x, _TRACK, kind)
    # The figure would leave the drawing where the candidate stands at its edge.
    inside = min(max(x, _EDGE + 60), ruler.width - _EDGE - 60)
    told = f"candidate {_facts.number(one.own)}"
    return [mark, words(told, inside, _CANDIDATE, "candidate", "middle")]


def _type_name(precision: str) -> str:
    return fingerprint.TYPES.get(precision, precision)


def _table(found: list[Fingerprint]) -> Markup:
    names = list(found[0].measured)
    heads = ("model", "verdict", *(f"units of {_type_name(name)}" for name in names))
    rows = (
        element(
            "tr",
            element("th", one.model, scope="row"),
            element("td", _facts.word(one.verdict)),
            *(element("td", _cell(one, name), class_="number") for name in names),
        )
        for one in found
    )
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *rows),
    )
    figures = scroller("The error in noise units of every type", table)
    return element("details", element("summary", "The figures as a table"), figures, class_="plain")


def _cell(one: Fingerprint, name: str) -> str:
    measured = one.measured.get(name)
    if measured is None:
        return "-"
    limit = f" of {measured.limit:g}" if math.isfinite(measured.limit) else ""
    return f"{_facts.number(measured.observed)}{limit}"
