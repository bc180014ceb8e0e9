"""The score at fp32, of the kept matrix; each part of the mutants has a file that tries it."""

from __future__ import annotations

from pathlib import Path

import kills

from conformance import proof

SCORE = 0.98
PARTS = {file.stem.removeprefix("test_matrix_") for file in Path(__file__).parent.glob("*_*_*.py")}
FATES = next(p["mutants"] for p in proof.kept()["precisions"] if p["precision"] == "fp32")


def test_every_mutant_is_in_a_part_that_a_file_tries():
    assert {kills.part_of(mutant) for mutant in kills.KNOWN.values()} <= PARTS


def test_the_score_is_high_enough(record_property):
    wrong = [name for name, mutant in kills.KNOWN.items() if not mutant.equivalent]
    killed = [name for name in wrong if FATES[name] == "killed"]
    record_property("told", f"{len(killed)} of {len(wrong)} mutants killed at fp32")
    record_property("told", kills.told())
    assert len(killed) / len(wrong) >= SCORE


def test_what_names_no_kill_is_not_counted_as_one():
    (part,) = (one for one in proof.kept()["precisions"] if one["precision"] == "fp32")
    assert [
        n for n, m in kills.KNOWN.items() if not m.kills and part["mutants"][n] == "killed"
    ] == []
