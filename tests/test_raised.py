"""What vendor code raised or left behind, in words."""

from __future__ import annotations

import re

from conformance import raised
from conformance.candidate import method_of


def test_an_error_is_told_with_the_lines_outside_the_suite():
    try:
        method_of({}, "logits")
    except Exception as error:  # noqa: BLE001  # whatever it is
        told = raised.error_text(error)
    head, *places = told.splitlines()
    assert head.startswith("CandidateRaised: the candidate claims 'logits'")
    assert [re.sub(r".*/(.*):\d+: ", r"\1 ", place) for place in places] == [
        'test_raised.py method_of({}, "logits")'
    ]


def test_an_error_that_nobody_raised_has_no_lines():
    assert raised.error_text(ValueError("x")) == "ValueError: x"


THREADS = """\
about to crash
Fatal Python error: Segmentation fault

Thread 0x00007f (most recent call first):
  File "other.py", line 1 in waiting

Current thread 0x00007e (most recent call first):
  File "mine.py", line 1 in innermost
"""


def test_of_a_crash_the_thread_that_crashed_is_quoted():
    lines = raised.last_lines(THREADS + "  File 'mine.py', line 2 in f\n" * 50)
    assert lines[:2] == ["about to crash", "Fatal Python error: Segmentation fault"]
    assert lines[3] == '  File "mine.py", line 1 in innermost'
    assert not any("waiting" in line for line in lines)
    assert len(lines) < 20


def test_without_a_crash_the_last_lines_are_quoted():
    lines = raised.last_lines("\n".join(map(str, range(100))))
    assert lines[-1] == "99"
    assert len(lines) < 20
