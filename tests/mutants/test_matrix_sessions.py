"""The kill matrix at fp32: faults of sessions, of generated text and of draws."""

from __future__ import annotations

import kills
import pytest

PART = "sessions"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows():
    return kills.rows_of(PART)


@pytest.mark.parametrize("name", kills.faults(PART))
def test_a_mutant_is_failed_by_every_requirement_that_it_names(rows, name):
    assert kills.unlike_what_it_says(rows[name]) == []


@pytest.mark.parametrize("name", kills.variants(PART))
def test_a_variant_that_is_no_fault_passes_every_check_that_reaches_it(rows, name):
    assert kills.unlike_a_variant(rows[name]) == []
