"""A part of the kill matrix at 16 bits, of a size that each change can wait for.

One mutant of each topic, and an honest candidate. The whole matrix is ``make matrix``.
"""

from __future__ import annotations

import kills
import pytest

from conformance import matrix, mutants
from conformance.records import Verdict

SLOW = ("FAULT-001",)
"""Compares with every known fault, on a corpus eight times as long where rounding hides some."""

pytestmark = pytest.mark.slow


def chosen(precision):
    """Return the first mutant of each topic that has to be killed at a precision."""
    first = {}
    for mutant in mutants.all_mutants().values():
        exempt = mutant.proof(precision) or precision in mutant.below_noise_at
        slow = set(SLOW) & set(mutant.kills)
        if mutant.kills and not exempt and not slow and mutant.replaces != "graph":
            first.setdefault(mutant.topic, mutant.name)
    return tuple(first.values())


@pytest.fixture(scope="module", params=["fp16", "bf16"])
def rows(request):
    honest = matrix.HONEST[request.param][:1]
    names = chosen(request.param)
    found = kills.found(request.param, names, honest, declared=True, without=SLOW)
    return list(found.values())


def test_an_honest_candidate_passes_every_requirement(rows):
    honest = rows[0]
    assert honest.mutant is None
    assert len(honest.cells) > 50
    assert [cell for cell in honest.cells if cell.verdict is not Verdict.PASS] == []


def test_each_mutant_is_failed_by_a_requirement_that_it_names(rows):
    lived = [row.name for row in rows if row.mutant and not row.killed_by]
    assert len(rows) > 20
    assert lived == []
