"""The kill matrix at fp32: honest candidates are failed by nothing, or no kill counts."""

from __future__ import annotations

import kills
import pytest

from conformance import spec
from conformance.candidate import open_candidate
from conformance.plan import unclaimed

EVERYWHERE = "mutant"
"""The decoder as it is, on every model of every profile."""
NEAR = ("reference", "onnxruntime?threads=1")
"""On the models that mutants are tried on."""
OF_GRAPHS = {"PKG-002", "PKG-003"}
"""Requirements of an ONNX graph's constants, which other candidates do not have."""
pytestmark = pytest.mark.slow


def test_the_decoder_passes_every_requirement_that_it_owes():
    row = kills.found(only=(), honest=[EVERYWHERE])[EVERYWHERE]
    with open_candidate(EVERYWHERE) as candidate:
        claims = candidate.info.claims
    owed = {r.id for r in spec.load().requirements.values() if not unclaimed(r, claims)}
    assert kills.passed(row) == owed - OF_GRAPHS


@pytest.fixture(scope="module")
def rows():
    return kills.found(only=(), honest=NEAR, declared=True)


@pytest.mark.parametrize("name", NEAR)
def test_an_honest_candidate_passes_every_requirement_but_those_it_is_known_to_fail(rows, name):
    kills.is_honest(rows[name])
