"""A candidate of operators that waits, dies or sleeps in the second job of a run."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from conformance.adapters import reference

SECOND = any(word.startswith("--llm-job=2:") for word in sys.argv)


@contextmanager
def open(target, options):  # noqa: A001, ARG001
    with reference.open("", {}) as honest:
        yield Candidate(honest, target)


class Candidate:
    def __init__(self, honest, deed):
        self.honest, self.deed, self.info = honest, deed, honest.info

    def operator(self, call):
        began = Path("began")
        if SECOND and not began.exists():
            began.touch()
            if self.deed == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.deed == "sleeps":
                time.sleep(120)
        while not began.exists():  # the first job takes no second group before the other has one
            time.sleep(0.05)
        return self.honest.operator(call)
