"""Ctrl-C and SIGTERM: they end a run, also where the exception that they raise gets lost.

Python prints and drops whatever is raised inside a callback of the garbage collector or inside
``__del__``, and vendor code may catch anything. So the request is noted as well as raised, and
whoever decides what comes next asks for it.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Whether the user has asked for the end."""

    def __init__(self) -> None:
        self.seen = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the signals inside the ``with`` block; Python handles them in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, *_: Any) -> None:
        self.seen = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise what was noted.

        Raises:
            KeyboardInterrupt: the user has asked for the end.
        """
        if self.seen:
            raise KeyboardInterrupt
