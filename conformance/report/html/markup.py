"""Elements of HTML and SVG, escaped by construction: text is text unless it was built here."""

from __future__ import annotations

import html
from typing import TypeAlias

from conformance.report._text import visible

_VOID = {"meta", "link", "input"}


class Markup(str):
    """Text that is markup already; everything else gets escaped."""

    __slots__ = ()


Content: TypeAlias = str | Markup | None


def element(tag: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Args:
        tag: its name.
        content: children; text is escaped, None is left out.
        attributes: ``class_`` stands for ``class``, ``aria_label`` for ``aria-label``; True is an
            attribute without a value, False and None leave it out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(*content)}</{tag}>")


def join(*content: Content) -> Markup:
    """Return pieces of content one after the other."""
    return Markup("".join(_escaped(piece) for piece in content if piece is not None))


def _escaped(piece: str) -> str:
    return piece if isinstance(piece, Markup) else html.escape(visible(piece))


def _attribute(key: str, value: str | float | bool | None) -> str:  # noqa: FBT001  # HTML's own
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(visible(text))}"'
