"""What vendor code raised, told alike in whichever process it ran: type, text and its last lines.

Standard library only: adapters are listed without NumPy.
"""

from __future__ import annotations

import traceback
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_NOT_THEIRS = ("<frozen ", *(f"{_ROOT / name}/" for name in ("conformance", "reference_model")))
"""Beginnings of the file names of Python's own and of the suite's code."""
_CHARACTERS, _FRAMES = 2000, 2


def error_text(error: BaseException) -> str:
    """Return an error of vendor code in words; its own text may be unreadable.

    The lines that follow say where it was raised and who called there, as far as that is not the
    suite's own code.
    """
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  # whatever its __str__ raises
        text = "its text cannot be read"
    return clean(f"{type(error).__name__}: {text}", _CHARACTERS) + "".join(_places(error))


def _places(error: BaseException) -> list[str]:
    if isinstance(error, SyntaxError):  # its frames are those of the import
        return [f"\n  {error.filename}:{error.lineno}: {(error.text or '').strip()}"]
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_NOT_THEIRS)]
    return [f"\n  {f.filename}:{f.lineno}: {f.line}" for f in (theirs or frames)[-_FRAMES:]]


def clean(text: str, limit: int) -> str:
    """Return text of the candidate's that a terminal and a report can take: no control codes."""
    short = text if len(text) <= limit else text[:limit] + " [...]"
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in short
    )
