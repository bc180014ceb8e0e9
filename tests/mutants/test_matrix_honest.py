"""The kill matrix at fp32: honest candidates are failed by nothing, or no kill counts.

On the models that mutants are tried on; on those of all profiles they are asked by `make matrix`.
"""

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
    return kills.found(only=(), honest=HONEST, declared=True)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_passes_all_that_it_owes_but_what_it_is_known_to_fail(rows, name):
    standard = spec.load()
    near = {model for half in matrix.HALVES for model in standard.profiles[half].models}
    with open_candidate(name) as candidate:
        claims = candidate.info.claims
    owed = {
        requirement.id
        for requirement in standard.requirements.values()
        if not unclaimed(requirement, claims)
        and near.intersection(spec.models_of(standard, requirement.id) or near)
    }
    apply = {cell.requirement for cell in kills.asked(rows[name])}
    assert owed - apply <= OF_GRAPHS
    assert kills.passed(rows[name]) == apply - set(matrix.known_faults(name))
