"""A run that several jobs share: the same run, and as complete as with one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis.internal.conjecture import providers

from conformance import inputs, jobs
from conformance.errors import UsageError
from conformance.jobs import Job

SHARED = Path(__file__).with_name("shared.py")
OPERATORS = ("--profile=operators", "--only=SOFTMAX-001", "--only=NORM-001", "--only=EMBED-001")
NOT_RUN = {"NOT_RUN"}


def found(ended):
    """Return what a run found: each case with its verdict and what it measured, but no times."""
    return {
        case["id"]: (case["verdict"], case["measurements"])
        for row in ended.report["requirements"]
        for case in row["cases"]
    }


def test_two_jobs_find_what_one_finds(llm):
    asked = ("run", f"--candidate={SHARED}:waits", *OPERATORS, "--seed=3", "--jobs=2")
    shared = llm(*asked)
    alone = llm("run", "--candidate=reference", *OPERATORS, "--seed=3", folder="alone")
    assert shared.code == alone.code == 2, shared.err  # it is a partial selection
    assert found(shared) == found(alone)
    assert {verdict for verdict, _ in found(shared).values()} == {"PASS"}
    logs = [shared.folder / "evidence" / name for name in ("results.jsonl", "results-2.jsonl")]
    whole, second = (log.read_text(encoding="utf-8").count('"ended"') for log in logs)
    assert whole == len(found(shared)), "the first job's log has each case, once"
    assert 0 < second < whole
    assert shared.report["run"]["hermetic"]
    assert "--jobs=2" in shared.report["run"]["argv"]


def test_a_job_that_dies_leaves_its_own_cases_alone_not_run(llm):
    ended = llm("run", f"--candidate={SHARED}:dies", *OPERATORS, "--jobs=2")
    assert ended.code == 2
    assert "job 2 of the run died (exit status -9)" in ended.err
    assert ended.report["outcome"] == "incomplete"
    modules = {
        row["id"].partition("-")[0]: {case["verdict"] for case in row["cases"]}
        for row in ended.report["requirements"]
        if row["id"] in ("SOFTMAX-001", "NORM-001", "EMBED-001")
    }
    assert sorted(modules.values(), key=sorted) == [NOT_RUN, {"PASS"}, {"PASS"}]


@pytest.mark.parametrize("signalled", ["the group, as Ctrl-C does", "the command, by SIGTERM"])
def test_what_ends_a_run_ends_all_its_jobs(signalled, tmp_path, environment, appears, ended_at):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "conformance", "run", f"--candidate={SHARED}:sleeps"]
    process = subprocess.Popen(
        [*command, *OPERATORS, "--jobs=2", f"--out={out}"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    appears(tmp_path / "began")
    if signalled.startswith("the group"):
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.terminate()
    text, _ = process.communicate(timeout=60)
    ended = ended_at(process.returncode, text, out)
    assert ended.code == 2, text
    assert ended.report["outcome"] == "incomplete"
    assert "the run was interrupted" in text
    assert set(ended.cases().values()) <= {"PASS", "NOT_RUN"}
    assert "NOT_RUN" in ended.cases().values()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_group_is_of_the_job_that_asks_first(tmp_path):
    first, second = Job(1, tmp_path), Job(2, tmp_path)
    assert second.takes("test_norm.py")
    assert not first.takes("test_norm.py")
    assert first.takes("a/b c")


def test_the_costliest_group_comes_first_and_keeps_its_order(tmp_path):
    items = [SimpleNamespace(group=group, name=i) for i, group in enumerate("abacbc")]
    shared = list(jobs.share(Job(1, tmp_path), items, lambda item: item.group, {"c": 5.0}))
    assert [item.name for item, _ in shared] == [3, 5, 0, 2, 1, 4]
    assert [following and following.name for _, following in shared] == [5, None, 2, None, 4, None]
    assert not list(jobs.share(Job(2, tmp_path), items, lambda item: item.group, {}))


def test_a_model_costs_what_it_did_or_what_its_positions_say():
    past = {"test_x/seen": 3.0, "test_y/seen/1": 5.0, "test_z": 100.0}
    assert jobs.costs(past, {"seen": 99, "new": 8192}) == {"seen": 4.0, "new": 2.0}


def test_a_job_reads_back_and_needs_somebody_who_starts_it(tmp_path):
    job = Job(2, tmp_path)
    assert jobs.parse(str(job), 2) == job
    assert jobs.parse("", 1) is None
    with pytest.raises(UsageError, match="`-n` of pytest-xdist"):
        jobs.parse("", 2)


def test_draws_do_not_depend_on_which_modules_are_loaded():
    assert inputs.SHRINK_S  # whose module sees to it
    own = providers.HypothesisProvider(None)._local_constants
    assert len(own) == 0
