"""The stack on which a thread handles signals, put back where a runtime has replaced it.

OpenVINO's CPU plug-in gives the thread that loads it a signal stack of its own, and unmaps that
with the plug-in. Where another thread was the last to hold it, a garbage collection for instance,
the first thread is left without: its next Ctrl-C ends the process by a segmentation fault, of which
not even faulthandler can tell. Python's handlers run on that stack too.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Stack(ctypes.Structure):
    """Linux's ``stack_t``."""

    _fields_ = (
        ("place", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextmanager
def kept() -> Iterator[None]:
    """Give this thread the signal stack that it had, or none, when the ``with`` block ends."""
    if sys.platform != "linux":
        yield
        return
    process, before = ctypes.CDLL(None, use_errno=True), _Stack()
    _asked(process.sigaltstack(None, ctypes.byref(before)))
    try:
        yield
    finally:
        _asked(process.sigaltstack(ctypes.byref(before), None))


def _asked(code: int) -> None:
    if code != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
