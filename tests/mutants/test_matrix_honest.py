"""The kill matrix at fp32: honest candidates are failed by nothing, or no kill counts.

Each is held against the requirements whose turn it is: the decoder as it is on every model of every
profile, others on the models that mutants are tried on. The rest asks `make matrix`.
"""

from __future__ import annotations

import kills
import pytest

EVERYWHERE = "mutant"
OTHERS = ("reference", "onnxruntime?threads=1")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def others():
    return kills.honest_rows(OTHERS)


def test_the_decoder_passes_what_it_owes_on_every_model():
    found = kills.honest_rows([EVERYWHERE], everywhere=True)
    assert kills.unlike_an_honest_one(found[EVERYWHERE], everywhere=True) == []


@pytest.mark.parametrize("name", OTHERS)
def test_an_honest_candidate_passes_what_it_owes(others, name):
    assert kills.unlike_an_honest_one(others[name]) == []
