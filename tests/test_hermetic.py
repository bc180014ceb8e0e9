"""What the command makes of a process that ended before the run began."""

from __future__ import annotations

import signal

import pytest

from conformance import hermetic
from conformance.run_folder import RunFolder


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
