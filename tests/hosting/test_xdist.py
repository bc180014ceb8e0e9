"""The checks spread over processes by pytest-xdist: as complete as in one."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("xdist", reason="pytest-xdist is not installed")


def test_two_workers_give_a_complete_report(under_pytest, owed, fulfilled):
    ended = under_pytest("-n", "2", "--llm-seed=11")
    assert ended.code == 0, ended.out
    report = ended.report
    assert report["outcome"] == "conformant"
    assert ended.cases() == fulfilled
    assert report["models"][0]["noise"], "the unit that the workers measured"
    assert report["run"]["seed"] == 11
    log = (ended.folder / "evidence" / "results.jsonl").read_text(encoding="utf-8")
    assert log.count('"ended"') == len(owed), "each case ran once"


def test_workers_use_the_seed_that_the_report_tells(under_pytest):
    wrong = Path(__file__).parent.parent / "end_to_end" / "faulty.py"
    only = "--llm-only=LOGITS-001"
    ended = under_pytest("-n", "2", only, candidate=f"{wrong}:one-and-a-half")
    assert ended.code == 1
    told = ended.case("test_logits_on")["reproduce"]  # written by the worker
    assert told.endswith(f"--seed={ended.report['run']['seed']}")


def test_a_worker_that_dies_leaves_an_incomplete_report(under_pytest, candidates):
    ended = under_pytest("-n", "2", "--max-worker-restart=0", candidate=f"{candidates}:exits-0")
    assert ended.code in (1, 2)
    assert ended.report["outcome"] != "conformant"
    assert "NOT_RUN" in ended.cases().values()


def test_failures_cross_the_processes_with_their_counterexamples(under_pytest, candidates):
    ended = under_pytest("-n", "2", candidate=f"{candidates}:wrong")
    assert ended.code == 1
    failed = [
        case
        for row in ended.report["requirements"]
        for case in row["cases"]
        if case["verdict"] == "FAIL"
    ]
    assert failed
    for case in failed:
        assert not case["counterexample"] or (ended.folder / case["counterexample"]).is_file()
