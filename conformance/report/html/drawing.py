"""What the page's drawings are made of: lines, words, and numbers on logarithmic scales."""

from __future__ import annotations

import math

from conformance.report.html.markup import Markup, element

WIDTHS = {"narrow": 330, "middle": 620, "wide": 940}
"""Each drawing is made once for each of three screens: the text of a scaled one would be too small
on a phone. The name is the class by which the style shows one of them."""
_WRITTEN_OUT = 4
"""The first power of ten that is not written with all its zeros."""
_RAISED = str.maketrans(
    "-0123456789",
    "\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ZERO}\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT TWO}"
    "\N{SUPERSCRIPT THREE}\N{SUPERSCRIPT FOUR}\N{SUPERSCRIPT FIVE}\N{SUPERSCRIPT SIX}"
    "\N{SUPERSCRIPT SEVEN}\N{SUPERSCRIPT EIGHT}\N{SUPERSCRIPT NINE}",
)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a straight line of a class."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def words(text: str, x: float, y: float, kind: str, anchor: str) -> Markup:
    """Return text of a class, which starts, ends or has its middle at ``x``."""
    return element("text", text, x=x, y=y, class_=kind, text_anchor=anchor)


def diamond(x: float, y: float, kind: str) -> Markup:
    """Return the mark of what is beyond its limit, told from a disc by its shape."""
    return element("path", d=f"M{x - 6.5:.6g} {y:.6g}l6.5-6.5 6.5 6.5-6.5 6.5z", class_=kind)


def power(value: float) -> float:
    """Return the power of ten that a value is; minus infinity where it is none."""
    return math.log10(value) if value > 0 else -math.inf


def tick(exponent: int) -> str:
    """Return a power of ten as short as it is clear."""
    if -_WRITTEN_OUT < exponent < _WRITTEN_OUT:
        return f"{10.0**exponent:g}"
    return f"10{str(exponent).translate(_RAISED)}"
