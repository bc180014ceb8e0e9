"""Text that a candidate wrote, made fit to be shown. It is shown as it is, and it does nothing.

What a reader cannot see (terminal escapes, direction overrides, lone surrogates, characters that
XML forbids) is written out, so that no text looks like another. Escaping is each format's own.
"""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_KEPT = "\n\t"
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


def _shown(character: str) -> str:
    if character in _KEPT:
        return character
    code = ord(character)
    # Plane ends (U+FFFE, U+1FFFF) are no characters, and XML forbids the first two of them.
    if unicodedata.category(character) in _INVISIBLE or code & 0xFFFE == 0xFFFE:
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    return character
