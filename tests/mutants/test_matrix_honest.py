"""The kill matrix at fp32: honest candidates are failed by nothing, or no kill counts."""

from __future__ import annotations

import kills
import pytest

from conformance import matrix, spec
from conformance.candidate import open_candidate
from conformance.plan import unclaimed

HONEST = ("mutant", "reference", "onnxruntime?threads=1")
OF_GRAPHS = {"PKG-002", "PKG-003"}
"""Requirements of an ONNX graph's constants, which other candidates do not have."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows():
    return kills.found(only=(), honest=HONEST)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_passes_every_requirement_but_those_it_is_known_to_fail(rows, name):
    with open_candidate(name) as candidate:
        claims = candidate.info.claims
    owed = {r.id for r in spec.load().requirements.values() if not unclaimed(r, claims)}
    apply = {cell.requirement for cell in kills.asked(rows[name])}
    assert owed - apply <= OF_GRAPHS
    assert kills.passed(rows[name]) == owed & apply - set(matrix.known_faults(name))
