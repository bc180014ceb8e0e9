"""One line on standard error that says how far a run is, and how long it will still take."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping


class Progress:
    """Counts cases; times come from the last run of the same selection, where there was one."""

    def __init__(
        self, cases: list[str], past: Mapping[str, float], stream: TextIO = sys.stderr
    ) -> None:
        typical = sorted(past.values())[len(past) // 2] if past else 1.0
        self._cost = {case: past.get(case, typical) for case in cases}
        self._left = dict(self._cost)
        self._running: dict[str, None] = {}
        self._stream, self._terminal = stream, stream.isatty()
        self._started = time.monotonic()

    def began(self, case: str) -> None:
        """Show the cases that run now: of each job one."""
        self._running[case] = None
        if self._terminal:
            self._show(" | ".join(self._running))

    def ended(self, case: str) -> None:
        """Count a case as done; without a terminal, say so at every tenth of the way."""
        total = max(1, len(self._cost))
        before = 10 * (total - len(self._left)) // total
        self._left.pop(case, None)
        self._running.pop(case, None)
        if not self._terminal and 10 * (total - len(self._left)) // total > before:
            self._write(self._line("") + "\n")

    def close(self) -> None:
        """Clear the line."""
        if self._terminal:
            self._write("\r\x1b[K")

    def _show(self, case: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._write("\r\x1b[K" + self._line(case)[:width])

    def _write(self, text: str) -> None:
        # Whoever reads it may have gone, and a candidate may have closed it: no reason to stop.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def _line(self, case: str) -> str:
        total, left = len(self._cost), len(self._left)
        done_cost = sum(self._cost.values()) - sum(self._left.values())
        elapsed = time.monotonic() - self._started
        text = f"{total - left:3}/{total} cases, {elapsed:.0f} s"
        if done_cost > 0 and left:
            text += f", about {elapsed * sum(self._left.values()) / done_cost:.0f} s left"
        return f"{text}  {case}".rstrip()
