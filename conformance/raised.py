"""What vendor code raised or left behind, told alike in whichever process it ran.

Standard library only: adapters are listed without NumPy.
"""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_NOT_THEIRS = (
    *(f"{_ROOT / name}/" for name in ("conformance", "reference_model")),
    *("<frozen ", contextlib.__file__),
)
"""Beginnings of the file names of the suite's own code, and of Python's between it and theirs."""
_CHARACTERS, _FRAMES = 2000, 2
_LINES, _LINE = 12, 200
_BEFORE_A_CRASH = 4
_CRASH, _STACK = "Fatal Python error", "Current thread"
"""Where Python's own report of a crash begins, and in it the stack of the thread that crashed."""


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


def last_lines(text: str) -> list[str]:
    """Return the last lines that a process printed; of a crash's stack, which is long, the first.

    The stack begins with the innermost call.
    """
    lines = [clean(line, _LINE) for line in text.splitlines() if line.strip()]
    crashes = [i for i, line in enumerate(lines) if line.startswith(_CRASH)]
    if not crashes:
        return lines[-_LINES:]
    start = crashes[-1]
    stacks = [i for i, line in enumerate(lines) if i > start and line.startswith(_STACK)]
    stack = stacks[0] if stacks else start + 1  # other threads may stand before it
    told = [*lines[max(0, start - _BEFORE_A_CRASH) : start + 1], *lines[stack:]]
    return told[:_LINES]


def clean(text: str, limit: int) -> str:
    """Return text of the candidate's that a terminal and a report can take: no control codes."""
    short = text if len(text) <= limit else text[:limit] + " [...]"
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in short
    )
