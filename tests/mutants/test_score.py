"""The score at fp32 and its parts: the files of the matrix show each kill that is counted here."""

from __future__ import annotations

import sys
from pathlib import Path

import kills

SCORE = 0.98
PARTS = {file.stem.removeprefix("test_matrix_") for file in Path(__file__).parent.glob("*_*_*.py")}


def test_every_mutant_is_in_a_part_that_a_file_tries():
    assert {kills.part_of(mutant) for mutant in kills.KNOWN.values()} <= PARTS


def test_the_score_is_high_enough(record_property):
    wrong = [mutant for mutant in kills.KNOWN.values() if not mutant.equivalent]
    killed = [mutant for mutant in wrong if mutant.kills]
    told = f"{len(killed)} of {len(wrong)} killed"
    record_property("score", told)
    sys.stdout.write(told)
    assert len(killed) / len(wrong) >= SCORE
