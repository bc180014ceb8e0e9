"""The kill matrix at fp32: honest candidates are failed by nothing, or no kill counts.

The decoder as it is on every model of every profile, by the requirements whose turn it is; others,
and what is slow, on the models that mutants are tried on. The rest asks `make matrix`.
"""

from __future__ import annotations

import kills
import pytest

from conformance import matrix, spec
from conformance.candidate import open_candidate
from conformance.plan import unclaimed

EVERYWHERE = "mutant"
SHARES = 4
ASKED = kills.turn(spec.load().requirements, SHARES)
HONEST = (EVERYWHERE, "reference", "onnxruntime?threads=1")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def near():
    return kills.found(only=(), honest=HONEST, declared=True)


@pytest.fixture(scope="module")
def everywhere():
    others = [name for name in spec.load().requirements if name not in ASKED]
    without = [*others, *kills.SLOW]
    return kills.found(only=(), honest=[EVERYWHERE], without=without)[EVERYWHERE]


def owed(name, models=None):
    """Return what a candidate owes of what it claims; of a few models, what they decide."""
    standard = spec.load()
    with open_candidate(name) as candidate:
        claims = candidate.info.claims
    return {
        one.id
        for one in standard.requirements.values()
        if not unclaimed(one, claims)
        and (models is None or models.intersection(spec.models_of(standard, one.id) or models))
    }


def test_the_decoder_passes_what_it_owes_on_every_model(everywhere):
    owes = owed(EVERYWHERE).intersection(ASKED) - {*kills.SLOW, *kills.OF_GRAPHS}
    assert len(owes) > len(ASKED) / 2
    assert kills.passed(everywhere) == owes
    assert {cell.requirement for cell in kills.asked(everywhere)} == owes


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_passes_all_that_it_owes_but_what_it_is_known_to_fail(near, name):
    models = {model for half in matrix.HALVES for model in spec.load().profiles[half].models}
    asked = {cell.requirement for cell in kills.asked(near[name])}
    assert owed(name, models) - asked <= set(kills.OF_GRAPHS)
    assert kills.passed(near[name]) == asked - set(matrix.known_faults(name))
