"""A part of the kill matrix at float16, of a size that each change can wait for.

An honest candidate, and one mutant of each topic whose turn it is. The whole is ``make matrix``.
"""

from __future__ import annotations

import kills
import pytest

PRECISION = "fp16"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows():
    return kills.rows_of_topics(PRECISION)


def test_an_honest_candidate_passes_every_requirement(rows):
    kills.is_honest(rows[0])


def test_each_mutant_is_failed_by_a_requirement_that_it_names(rows):
    assert [row.name for row in rows[1:]] == kills.of_topics(PRECISION)
    assert [row.name for row in rows[1:] if not row.killed_by] == []
