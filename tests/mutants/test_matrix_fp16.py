"""A part of the kill matrix at float16: an honest candidate, and mutants.

Each change waits for those whose turn it is. The whole is ``make matrix``.
"""

from __future__ import annotations

import kills
import pytest

from conformance import matrix

PRECISION = "fp16"
HONEST = matrix.HONEST[PRECISION][0]
pytestmark = pytest.mark.slow


def test_an_honest_candidate_passes_what_it_owes():
    assert kills.unlike_an_honest_one(kills.honest_rows([HONEST])[HONEST]) == []


def test_each_mutant_is_killed():
    rows = kills.narrow_rows(PRECISION)
    assert [row.name for row in rows] == kills.narrow(PRECISION)
    assert [row.name for row in rows if not row.killed_by] == []
