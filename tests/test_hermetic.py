"""What the command makes of a process that ended before the run began."""

from __future__ import annotations

import os
import signal

import pytest

from conformance import hermetic, identity
from conformance.candidate import thread_count
from conformance.run_folder import RunFolder
from conformance.selection import Selection


@pytest.mark.parametrize("status", [2, -signal.SIGINT, -signal.SIGTERM])
def test_a_run_that_the_user_ended_at_once_was_interrupted(status, tmp_path, capsys):
    assert hermetic._never_began(status, RunFolder(tmp_path)) == 2
    said = "interrupted before anything ran; there is no report\n"
    assert capsys.readouterr().err == said


def test_a_process_that_died_at_once_is_told_with_the_way_out(tmp_path, capsys):
    assert hermetic._never_began(-signal.SIGSEGV, RunFolder(tmp_path)) == 2
    assert "--isolate" in capsys.readouterr().err


@pytest.mark.parametrize("status", [4, 2, -9])
def test_a_report_that_stands_there_is_told_to_be_an_earlier_runs(status, tmp_path, capsys):
    (tmp_path / "report.json").touch()
    hermetic._never_began(status, RunFolder(tmp_path))
    assert f"{tmp_path / 'report.json'} is of an earlier run" in capsys.readouterr().err


@pytest.mark.parametrize(("jobs", "threads"), [(1, None), (2, "4"), (3, "2"), (16, "1")])
def test_jobs_divide_the_cores_among_them(jobs, threads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS")
    environment = hermetic._environment(Selection("onnxruntime", jobs=jobs))
    assert environment.get("OMP_NUM_THREADS") == threads


def test_what_the_user_says_of_threads_stands_and_is_recorded(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    environment = hermetic._environment(Selection("onnxruntime", jobs=2))
    assert environment["OMP_NUM_THREADS"] == "3"
    assert identity.threads() == "3"


@pytest.mark.parametrize(
    ("option", "inherited", "threads"),
    [("2", "4", 2), ("", "4", 4), ("", "", 0), ("", "4,2", 0)],
)
def test_a_runtime_of_its_own_threads_uses_as_many_as_are_said(
    option, inherited, threads, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", inherited)
    assert thread_count(option) == threads
