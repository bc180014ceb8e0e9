"""Text that a candidate wrote, made fit to be shown. It is shown as it is, and it does nothing.

What a reader cannot see (terminal escapes, direction overrides, lone surrogates, characters that
XML forbids) is written out, so that no text looks like another. Escaping is each format's own.
"""

from __future__ import annotations

import re
import shutil
import textwrap
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_KEPT = "\n\t"
_NARROWEST, _ELSEWHERE = 60, 100
"""Columns of the narrowest terminal that is written for, and of what is no terminal."""
_PLAIN = re.compile(r"[\n\t -~]*")


def visible(text: str) -> str:
    r"""Return text in which invisible characters are written out, such as ``\u202e``."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_shown, text.replace("\r\n", "\n")))


def line(text: str, limit: int | None = None) -> str:
    """Return text as one visible line, cut at a word where it is longer than ``limit``."""
    flat = " ".join(visible(text).split())
    if limit is None or len(flat) <= limit:
        return flat
    kept = flat[: limit - 4]
    return (kept.rsplit(" ", 1)[0] if " " in kept else kept).rstrip(",") + " ..."


def cut(text: str, limit: int) -> str:
    """Return visible text of at most ``limit`` characters, with a line that says what is left."""
    shown = visible(text)
    if len(shown) <= limit:
        return shown
    return f"{shown[:limit]}\n... {len(shown) - limit} more characters: report.json has them"


def terminal_width(widest: int) -> int:
    """Return how many columns to write, never more than ``widest``."""
    columns = shutil.get_terminal_size((_ELSEWHERE, 24)).columns
    return min(max(columns, _NARROWEST), widest)


def wrapped(text: str, first: str = "", later: str = "", widest: int = _ELSEWHERE) -> str:
    """Return text in lines that fit the terminal; no word, such as an id or a path, is split.

    Args:
        text: one paragraph.
        first: what the first line begins with.
        later: what the others begin with.
        widest: columns that no terminal is wide enough to pass.
    """
    return textwrap.fill(
        text,
        width=terminal_width(widest),
        initial_indent=first,
        subsequent_indent=later,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _shown(character: str) -> str:
    if character in _KEPT:
        return character
    code = ord(character)
    # Plane ends (U+FFFE, U+1FFFF) are no characters, and XML forbids the first two of them.
    if unicodedata.category(character) in _INVISIBLE or code & 0xFFFE == 0xFFFE:
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    return character
