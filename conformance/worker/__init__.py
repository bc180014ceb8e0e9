"""Runs a candidate in a process of its own: time and memory limits, restart after a crash.

The only supervisor there is. Calls into native code cannot be interrupted in the process that
makes them, so ``--isolate`` opens the candidate in a child and speaks with it over two pipes. The
child is not trusted: what it writes is measured, never unpickled or executed. This package judges
nothing, and knows no runtime.

``wire`` holds the frames, ``process`` one child's life, ``supervisor`` restarts and time limits,
``proxy`` the candidate protocols as the parent sees them, ``child`` the other end.
"""

from __future__ import annotations

from conformance.worker.proxy import isolated
from conformance.worker.supervisor import Limits

__all__ = ["Limits", "isolated"]
