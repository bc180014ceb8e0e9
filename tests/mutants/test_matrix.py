"""The kill matrix at fp32: what the suite catches, and that it fails nothing honest."""

from __future__ import annotations

import sys
from unittest import mock

import pytest
import torch

from conformance import matrix, mutants, spec
from conformance.candidate import open_candidate
from conformance.plan import unclaimed
from conformance.records import Verdict

KNOWN = mutants.all_mutants()
FAULTS = [name for name, mutant in KNOWN.items() if not mutant.equivalent]
EQUIVALENT = [name for name, mutant in KNOWN.items() if mutant.equivalent]
HONEST = ("mutant", "reference", "onnxruntime?threads=1")
SCORE = 0.98

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def rows():
    """Every row by name; a mutant that has to be killed is judged where it claims to be."""
    reached = matrix.reached

    def narrowed(mutant, requirements):
        columns = reached(mutant, requirements)
        return [r for r in columns if r.id in mutant.kills or not mutant.kills]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for models this small, more threads mostly wait for each other
    try:
        with mock.patch.object(matrix, "reached", narrowed):
            return {row.name: row for row in matrix.rows(honest=HONEST)}
    finally:
        torch.set_num_threads(threads)


def _passed(row):
    return {cell.requirement for cell in row.cells if cell.verdict is Verdict.PASS}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_passes_every_requirement_but_those_it_is_known_to_fail(rows, name):
    with open_candidate(name) as candidate:
        claims = candidate.info.claims
    owed = {r.id for r in spec.load().requirements.values() if not unclaimed(r, claims)}
    assert _passed(rows[name]) == owed - set(matrix.known_faults(name))


@pytest.mark.parametrize("name", FAULTS)
def test_a_mutant_is_failed_by_every_requirement_that_it_names(rows, name):
    assert set(rows[name].killed_by) == set(KNOWN[name].kills), [
        (cell.requirement, cell.verdict.name, cell.message) for cell in rows[name].cells
    ]


@pytest.mark.parametrize("name", EQUIVALENT)
def test_a_variant_that_is_no_fault_passes_every_check_that_reaches_it(rows, name):
    row = rows[name]
    assert row.cells
    assert _passed(row) == {cell.requirement for cell in row.cells}, [
        cell.message for cell in row.cells if cell.message
    ]


def test_every_requirement_kills_a_mutant(rows):
    killing = {name for row in rows.values() if row.mutant for name in row.killed_by}
    assert killing == set(spec.load().requirements)


def test_the_score_is_high_enough(rows, record_property):
    killed = [name for name in FAULTS if rows[name].killed_by]
    told = f"{len(killed)} of {len(FAULTS)} killed; {len(EQUIVALENT)} variants are no faults"
    record_property("score", told)
    sys.stdout.write(told)
    assert len(killed) / len(FAULTS) >= SCORE
