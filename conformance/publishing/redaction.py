"""Takes out of a report what tells of a machine and not of a candidate: paths, and its name."""

from __future__ import annotations

import re
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from conformance import models

_ROOTS = r"/(?:home|root|Users|tmp|var|opt|usr|srv|mnt|media|work|data|private)"
_PATH = re.compile(rf"(?<![\w.:/]){_ROOTS}(?:/[^\s'\"`,;:()<>\[\]]+)+")
_SHORTEST_NAME = 4
"""Characters below which the machine's name is a word like any other."""


def redacted(document: Any) -> Any:
    """Return plain JSON values with every machine path and the machine's name replaced."""
    return _walked(document, _known())


def leaks(text: str) -> list[str]:
    """Return what is left in a text of paths and of the machine's name."""
    found = [match.group() for match in _PATH.finditer(text)]
    host = socket.gethostname()
    if len(host) >= _SHORTEST_NAME and re.search(rf"\b{re.escape(host)}\b", text):
        found.append(host)
    return found


def _known() -> list[tuple[str, str]]:
    """Return what is replaced, the longest first: a folder before the one that holds it."""
    places = {
        str(Path.cwd()): "<project>",
        sys.prefix: "<environment>",
        sys.base_prefix: "<python>",
        str(models.cache_folder()): "<cache>",
        tempfile.gettempdir(): "<temporary>",
        str(Path.home()): "<home>",
    }
    return sorted(
        ((place, word) for place, word in places.items() if len(place) > 1),
        key=lambda pair: -len(pair[0]),
    )


def _walked(value: Any, known: list[tuple[str, str]]) -> Any:
    if isinstance(value, dict):
        return {_text(key, known): _walked(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_walked(item, known) for item in value]
    return _text(value, known) if isinstance(value, str) else value


def _text(text: str, known: list[tuple[str, str]]) -> str:
    for place, word in known:
        text = re.sub(rf"(?<![\w.]){re.escape(place)}(?![\w.-])", word, text)
    text = _PATH.sub(lambda match: f"<path>/{match.group().rpartition('/')[2]}", text)
    host = socket.gethostname()
    if len(host) >= _SHORTEST_NAME:
        text = re.sub(rf"\b{re.escape(host)}\b", "<host>", text)
    return text
