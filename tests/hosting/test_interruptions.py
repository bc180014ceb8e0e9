"""Runs that are interrupted or killed, at any point: what was seen is kept, the rest is not run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest


@pytest.fixture
def started(tmp_path, tiny, candidates, environment, appears):
    """Start a hermetic run of a candidate that stops half-way, and wait until it does."""

    def start(deed, **more):
        out = tmp_path / "run"
        command = [sys.executable, "-m", "conformance", "run", "--out", str(out)]
        process = subprocess.Popen(
            [*command, "--candidate", f"{candidates}:{deed}", "--model", str(tiny)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **more,
        )
        appears(tmp_path / "began")
        return process

    return start


@pytest.fixture
def ended(tmp_path, ended_at):
    def wait(process):
        out, err = process.communicate(timeout=60)
        return ended_at(process.returncode, out + err, tmp_path / "run")

    return wait


def incomplete(ended):
    assert ended.code == 2, ended.out
    assert ended.report["outcome"] == "incomplete"
    assert set(ended.cases().values()) == {"PASS", "NOT_RUN"}
    return ended


def test_ctrl_c_leaves_an_incomplete_report(started, ended):
    process = started("sleeps")
    os.killpg(process.pid, signal.SIGINT)
    assert "the run was interrupted" in incomplete(ended(process)).out


def test_sigterm_to_the_command_leaves_an_incomplete_report(started, ended):
    process = started("sleeps")
    process.terminate()
    assert "the run was interrupted" in incomplete(ended(process)).out


def test_a_second_ctrl_c_ends_a_run_that_hangs_in_native_code(started, ended):
    process = started("hangs")
    os.killpg(process.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    os.killpg(process.pid, signal.SIGINT)
    assert "SIGKILL" in incomplete(ended(process)).out


def child_of(process):
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children, encoding="utf-8") as file:  # noqa: PTH123
        return int(file.read().split()[0])


def test_a_killed_pytest_process_is_recovered(started, ended):
    process = started("sleeps")
    os.kill(child_of(process), signal.SIGKILL)
    seen = incomplete(ended(process))
    assert "died (signal SIGKILL)" in seen.out
    assert (seen.folder / "report.html").exists()


def test_when_both_processes_are_killed_the_report_stays_unfinished(started, ended, tmp_path):
    earlier = tmp_path / "run"
    earlier.mkdir()
    (earlier / "evidence").mkdir()
    (earlier / "evidence" / "results.jsonl").touch()
    (earlier / "report.json").write_text(json.dumps({"outcome": "conformant"}), encoding="utf-8")
    process = started("sleeps")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert ended(process).report["outcome"] == "incomplete"
    assert not (earlier / "report.html").exists()


def test_an_isolated_candidate_that_is_killed_fails_one_case(
    tmp_path, tiny, candidates, environment, appears, ended_at
):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "conformance", "run", f"--out={out}", "--isolate"),
            *(f"--candidate={candidates}:sleeps", f"--model={tiny}"),
        ],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    appears(tmp_path / "began")
    os.kill(child_of(_Pid(child_of(process))), signal.SIGKILL)
    text, _ = process.communicate(timeout=200)
    ended = ended_at(process.returncode, text, out)
    assert ended.code == 1
    assert "NOT_RUN" not in ended.cases().values()


class _Pid:
    def __init__(self, pid):
        self.pid = pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_somebody_elses_pytest_leaves_an_incomplete_report(
    number, foreign, candidates, appears, ended_at
):
    process = foreign.start(candidate=f"{candidates}:sleeps")
    appears(foreign.folder / "began")
    os.killpg(process.pid, number)
    code = process.wait(60)
    incomplete(ended_at(code, foreign.text.read_text(encoding="utf-8"), foreign.out))
