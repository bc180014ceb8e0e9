"""The headroom chart: for each requirement, the share of its limit that was used, on a log scale.

Drawn by hand, so that a report can be rendered where nothing is installed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.report import _facts
from conformance.report.html.drawing import WIDTHS, diamond, line, power, tick, words
from conformance.report.html.failures import scroller
from conformance.report.html.markup import Markup, element
from conformance.report.html.overview import css

if TYPE_CHECKING:
    from conformance.records import Report, Verdict

_ROW, _TOP, _BOTTOM, _LABEL, _VALUE = 26, 34, 52, 104, 84
_TICK = 40
"""Room for the number below a line of the grid."""
_LOWEST, _HIGHEST = -3, 6
"""Powers of ten between which shares are drawn; what lies outside stands at the edge."""
_AXIS = "share of the limit, logarithmic"


@dataclass(frozen=True, slots=True)
class Point:
    """One row of the chart."""

    name: str
    verdict: Verdict
    share: float
    """Observed over limit: 0 exact, 1 at the limit, NaN where that is what was observed."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where things stand, in the drawing's units."""

    width: int
    height: int
    lowest: int
    highest: int

    def x(self, share: float) -> float:
        """Return where a share is drawn; what is no number stands beyond the limit."""
        exponent = self.highest if math.isnan(share) else power(share)
        inner = self.width - _LABEL - _VALUE
        exponent = min(max(exponent, self.lowest), self.highest)
        return _LABEL + inner * (exponent - self.lowest) / (self.highest - self.lowest)


def section(report: Report) -> Markup | None:
    """Return the chart and its table, None where nothing was measured."""
    found = points(report)
    if not found:
        return None
    drawings = (draw(found, name, width) for name, width in WIDTHS.items())
    return element(
        "section",
        element("h2", "Headroom", id="headroom"),
        element(
            "p",
            "The worst measurement of each requirement as a share of what is allowed, on a "
            "logarithmic scale. A point left of the line is within the limit.",
            class_="prose",
        ),
        element("div", *drawings, class_="chart"),
        _table(found),
        aria_labelledby="headroom",
    )


def points(report: Report) -> list[Point]:
    """Return the worst measurement of each requirement that has one."""
    worst = ((result, _facts.figure(result)) for result in report.requirements)
    return [
        Point(result.requirement.id, result.verdict, _facts.share(measurement))
        for result, measurement in worst
        if measurement is not None
    ]


def draw(points: list[Point], name: str, width: int) -> Markup:
    """Return the chart as SVG with a title and a description."""
    powers = [min(power(point.share), _HIGHEST) for point in points if point.share > 0]
    height = _TOP + _ROW * len(points) + _BOTTOM
    frame = _Frame(width, height, _LOWEST, max(1, math.ceil(max(powers, default=1))))
    over = [point.name for point in points if not point.share <= 1]
    told = f"{len(points) - len(over)} of {len(points)} requirements are within their limit."
    told += f" Beyond it: {', '.join(over)}." if over else ""
    return element(
        "svg",
        element("title", "Share of the limit used by each requirement", id=f"title-{name}"),
        element("desc", f"{told} The table below has the figures.", id=f"desc-{name}"),
        *_grid(frame),
        *(part for i, point in enumerate(points) for part in _point(frame, point, i)),
        class_=name,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"title-{name} desc-{name}",
    )


def _grid(frame: _Frame) -> list[Markup]:
    limit, right, bottom = frame.x(1), frame.x(10**frame.highest), frame.height - _BOTTOM
    parts = [
        element("rect", x=limit, y=_TOP, width=right - limit, height=bottom - _TOP, class_="beyond")
    ]
    apart = (right - frame.x(10**frame.lowest)) / (frame.highest - frame.lowest)
    step = math.ceil(_TICK / apart)
    for exponent in range(frame.lowest, frame.highest + 1):
        x = frame.x(10.0**exponent)
        if exponent:
            parts.append(line(x, _TOP, x, bottom, "grid"))
        if exponent and not exponent % step:
            parts.append(words(tick(exponent), x, bottom + 20, "tick", "middle"))
    parts += [
        line(limit, _TOP - 8, limit, bottom + 4, "limit"),
        words("limit", limit, _TOP - 14, "limit-name", "middle"),
        words("1", limit, bottom + 20, "tick", "middle"),
        words(_AXIS, (frame.x(0) + right) / 2, bottom + 42, "axis", "middle"),
    ]
    return parts


def _point(frame: _Frame, point: Point, row: int) -> list[Markup]:
    x, y = frame.x(point.share), _TOP + _ROW * (row + 0.5)
    return [
        words(point.name, 0, y + 4, "name", "start"),
        line(x, y, frame.x(1), y, f"span {css(point.verdict)}"),
        _mark(point, x, y),
        words(_told(point.share), frame.width, y + 4, "value", "end"),
    ]


def _mark(point: Point, x: float, y: float) -> Markup:
    """Return a disc within the limit and a diamond beyond it; hollow where it is off the scale."""
    kind = f"mark {css(point.verdict)}"
    if not _LOWEST <= power(point.share) <= _HIGHEST:
        kind += " off"
    if point.share <= 1:
        return element("circle", cx=x, cy=y, r=5, class_=kind)
    return diamond(x, y, kind)


def _told(share: float) -> str:
    return "exact" if share == 0 else _facts.number(share)


def _table(points: list[Point]) -> Markup:
    heads = ("requirement", "verdict", "share of the limit used")
    rows = (
        element(
            "tr",
            element("th", element("a", point.name, href=f"#{point.name}"), scope="row"),
            element("td", _facts.word(point.verdict)),
            element("td", _told(point.share), class_="number"),
        )
        for point in points
    )
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *rows),
    )
    figures = scroller("Share of the limit used by each requirement", table)
    return element("details", element("summary", "The figures as a table"), figures, class_="plain")
