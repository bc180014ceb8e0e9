"""The ledger of historic bugs: each has a mutant, an edit of the judge, or a reason why not."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from conformance import mutants

KNOWN = mutants.all_mutants()
ROWS = json.loads(Path(mutants.__file__).with_name("bugs.json").read_text(encoding="utf-8"))
EDITS = {
    edit["name"]
    for file in (Path(__file__).parents[1] / "judge_mutants").glob("*.toml")
    for edit in tomllib.loads(file.read_text(encoding="utf-8"))["edit"]
}


def test_bugs_have_ids_of_their_own():
    assert len({row["id"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_bug_is_stood_for_or_it_is_said_why_not(row):
    assert set(row) <= {"id", "bug", "threads", "mutants", "edits", "missing"}
    assert row["bug"].endswith(".")
    assert row["mutants"] or row.get("edits") or row["missing"].endswith(".")
    assert set(row["mutants"]) <= set(KNOWN)
    assert set(row.get("edits", [])) <= EDITS


@pytest.mark.parametrize("name", [m.name for m in KNOWN.values() if m.bug != "generic"])
def test_a_mutant_that_names_a_thread_stands_in_its_row(name):
    rows = [row for row in ROWS if KNOWN[name].bug in row["threads"]]
    assert any(name in row["mutants"] for row in rows), "add the thread to mutants/bugs.json"


def test_false_alarms_of_the_past_are_no_faults_here():
    alarms = {row["id"]: row["mutants"] for row in ROWS if row["id"].startswith("A")}
    assert set(alarms) == {"A01", "A02", "A03", "A04", "A05", "A06", "A07"}
    for name in ("A01", "A04", "A05", "A07"):
        assert all(KNOWN[mutant].equivalent for mutant in alarms[name])
