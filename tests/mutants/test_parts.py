"""What the parts of the matrix are held to can fail: each way in which a row is wrong is told."""

from __future__ import annotations

import kills
import pytest

from conformance import matrix, mutants
from conformance.matrix import Row
from conformance.matrix.cells import Cell
from conformance.records import Verdict

FAULT = mutants.all_mutants()["rope-base-ignored"]
HONEST = "reference"
OWED = sorted(kills.owed(HONEST) & kills.asked() - {*kills.OF_GRAPHS})


def cell(requirement, verdict):
    return Cell(requirement, verdict, None, "why", "test_it")


def row(verdicts, name=HONEST, mutant=None):
    return Row(name, mutant, tuple(cell(*one) for one in verdicts.items()))


def test_an_honest_row_is_right_where_all_that_is_owed_passes():
    assert kills.unlike_an_honest_one(row(dict.fromkeys(OWED, Verdict.PASS))) == []


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.PASS])
def test_whatever_else_than_a_pass_is_told_of_an_honest_row(verdict):
    verdicts = dict.fromkeys(OWED, Verdict.PASS) | {OWED[0]: verdict}
    assert kills.unlike_an_honest_one(row(verdicts)) == [f"{OWED[0]} {verdict.name}: why"]


def test_what_is_owed_and_was_not_asked_is_told():
    verdicts = dict.fromkeys(OWED[1:], Verdict.PASS)
    told = kills.unlike_an_honest_one(row(verdicts))
    assert told == [f"{OWED[0]} is owed and was not asked"]


def test_a_known_fault_has_to_be_failed_and_a_graph_shows_its_constants():
    name = "onnxruntime?threads=1"
    fault = next(iter(matrix.known_faults(name)))
    for verdict in (Verdict.PASS, Verdict.ERROR, Verdict.NOT_RUN):
        told = kills.unlike_an_honest_one(row({fault: verdict}, name))
        assert f"{fault} {verdict.name}: why" in told
    hidden = {kills.OF_GRAPHS[0]: Verdict.NOT_APPLICABLE}
    assert f"{kills.OF_GRAPHS[0]} NOT_APPLICABLE: why" in kills.unlike_an_honest_one(
        row(hidden, name)
    )
    told = kills.unlike_an_honest_one(row(dict.fromkeys(OWED, Verdict.PASS) | hidden))
    assert told == []


def test_a_mutant_is_failed_by_what_it_names_and_by_nothing_else():
    named = dict.fromkeys(FAULT.kills, Verdict.FAIL)
    first = FAULT.kills[0]
    assert kills.unlike_what_it_says(row(named, FAULT.name, FAULT)) == []
    passing = row(named | {first: Verdict.PASS}, FAULT.name, FAULT)
    assert kills.unlike_what_it_says(passing) == [f"{first} PASS: why"]
    more = row(named | {"ATTN-002": Verdict.FAIL}, FAULT.name, FAULT)
    assert kills.unlike_what_it_says(more) == ["ATTN-002 FAIL: why"]
    del named[first]
    assert kills.unlike_what_it_says(row(named, FAULT.name, FAULT)) == [f"{first} not asked"]


def test_a_variant_passes_something_and_fails_nothing():
    assert kills.unlike_a_variant(row({"LOGITS-001": Verdict.PASS})) == []
    assert kills.unlike_a_variant(row({})) == ["it passes nothing"]
    both = row({"LOGITS-001": Verdict.PASS, "LOGITS-002": Verdict.FAIL})
    assert kills.unlike_a_variant(both) == ["LOGITS-002 FAIL: why"]
