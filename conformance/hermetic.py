"""A run that nothing on the user's machine can bend: pytest in a process of its own, sealed.

No configuration file, conftest or plugin of the user's reaches it, nor what he set in the
environment for pytest, hypothesis or warnings, and the current folder is not on its import path.
PYTHONPATH is left to him: his adapter may be found by it. What the process leaves in the run folder
is read back here, also when it died half-way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import checks
from conformance.errors import UsageError
from conformance.jobs import Job
from conformance.report import table
from conformance.run_folder import RunFolder
from conformance.verdicts import EXIT_CODES, EXIT_SUITE_FAULT, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.selection import Selection

_CHECKS = Path(checks.__file__).parent
_DROPPED = ("PYTEST_", "HYPOTHESIS_", "PYTHONWARNINGS", "PYTHONOPTIMIZE")
"""Beginnings of the environment variables that would change how the checks run."""
_BENT = {"PYTEST_ADDOPTS", "PYTEST_PLUGINS"}
_INTERRUPTED = 2
_POLL_S = 0.05
_PATIENCE_S = 10.0
"""How long a job may take to end after the one that leads."""
_ENDED_BY_THE_USER = (_INTERRUPTED, -signal.SIGINT, -signal.SIGTERM)
"""Exit codes of a run that was asked to end: by pytest, or by Python before pytest had begun."""
_SEALED = (
    "--noconftest",
    "--disable-plugin-autoload",
    *("-p", "conformance.plugin"),
    *("-p", "no:terminal"),
    *("-p", "no:cacheprovider"),
    "--import-mode=importlib",
    "--assert=plain",  # checks hold no assert, and what pytest rewrites is compiled anew
)


def arguments(selection: Selection, job: Job | None = None) -> list[str]:
    """Return the one list of arguments with which pytest runs a selection hermetically."""
    ini = ["-c", str(_CHECKS / "pytest.ini")]
    own = [] if job is None else [f"--llm-job={job}"]
    return [*ini, *_SEALED, *selection.options("--llm-"), *own, str(_CHECKS)]


def is_sealed(given: Sequence[object], selection: Selection, job: Job | None = None) -> bool:
    """Return whether a pytest run was started as :func:`run` starts it, and in no other way."""
    started_so = [str(argument) for argument in given] == arguments(selection, job)
    return started_so and bool(sys.flags.safe_path) and not _BENT & set(os.environ)


def run(selection: Selection) -> int:
    """Run a selection, print its table, and return the exit code of its outcome.

    Raises:
        UsageError: the run folder cannot be written, or another run wrote to it meanwhile.
    """
    selection = selection.seeded()
    folder = RunFolder(selection.folder)
    folder.check()
    earlier = folder.stamp()
    status = _pytest(selection)
    if folder.stamp() in (earlier, None):
        return _never_began(status, folder)
    report = folder.read()
    if report.run.argv != tuple(selection.options()):
        raise UsageError(f"another run wrote to {folder.path} at the same time: use two folders")
    if not folder.finished() or status not in (EXIT_CODES[report.outcome], EXIT_SUITE_FAULT):
        report = folder.recover(_death(status))
        _say(f"error: {_death(status)}{folder.crash()}", sys.stderr)
        status = EXIT_CODES[report.outcome]
    _say(f"{table.render(report)}\n{folder.told()}", sys.stdout)
    return status


def _pytest(selection: Selection) -> int:
    """Run pytest, in as many jobs as are asked for; return the exit status of the one that leads.

    It is negative for a signal.
    """
    with ExitStack() as stack:
        jobs: list[Job | None] = [None]
        if selection.jobs > 1:
            shared = stack.enter_context(tempfile.TemporaryDirectory(prefix="llm-conformance-"))
            jobs = [Job(number, Path(shared)) for number in range(1, selection.jobs + 1)]
        processes = [stack.enter_context(_started(selection, job)) for job in jobs]
        stack.enter_context(_handing_on_sigterm(processes))
        return _ended(processes, [job for job in jobs if job is not None])


def _started(selection: Selection, job: Job | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "pytest", *arguments(selection, job)]
    return subprocess.Popen(command, env=_environment(selection))


def _ended(processes: Sequence[subprocess.Popen[bytes]], jobs: Sequence[Job]) -> int:
    """Wait for the first of the processes, tell it which others have ended, and end the rest."""
    leader, running, interrupts = processes[0], dict(zip(jobs, processes, strict=False)), 0
    while leader.poll() is None:
        try:
            for job, process in list(running.items()):
                if process.poll() is not None:
                    job.ended(process.returncode)
                    del running[job]
            leader.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:  # pytest got it too: let it write its report
            interrupts += 1
            if interrupts > 1:  # the user insists; native code may never come back
                _each(processes, subprocess.Popen.kill)
    _end(processes[1:])
    return leader.returncode


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End jobs whose leader has ended: nobody would read what they still find."""
    _each(processes, subprocess.Popen.terminate)
    until = time.monotonic() + _PATIENCE_S
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()


def _each(
    processes: Sequence[subprocess.Popen[bytes]], do: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    for process in processes:
        do(process)


def _environment(selection: Selection) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_DROPPED) and k != "CI"}
    if selection.jobs > 1:  # whose threads would wait for each other
        kept.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // selection.jobs)))
    if not selection.model:
        # The suite's models are tiny: a second thread of the oracle's would only wait and spin.
        kept.setdefault("OPENBLAS_NUM_THREADS", "1")
    return kept


@contextmanager
def _handing_on_sigterm(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Let a request to end reach the processes that can write a report."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    end = subprocess.Popen.terminate
    before = signal.signal(signal.SIGTERM, lambda *_: _each(processes, end))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _never_began(status: int, folder: RunFolder) -> int:
    """Return the exit code of a run that left no report; say why where pytest did not."""
    stale = folder.report_file.is_file()
    left = f"{folder.report_file} is of an earlier run" if stale else "there is no report"
    if status in (EXIT_USAGE, EXIT_SUITE_FAULT):
        if stale:
            _say(f"note: {left}", sys.stderr)
        return status
    if status in _ENDED_BY_THE_USER:
        _say(f"interrupted before anything ran; {left}", sys.stderr)
    else:
        _say(f"error: {_death(status)}; nothing was run, and {left}", sys.stderr)
    return _INTERRUPTED


def _death(status: int) -> str:
    how = f"exit code {status}"
    if status < 0:
        how = f"signal {signal.Signals(-status).name}"
    return f"the run's process died ({how}); --isolate keeps a run alive when a candidate dies"


def _say(text: str, stream: object) -> None:
    """Print, also when the reader, such as `head`, has gone: the exit code still tells."""
    try:
        print(text, file=stream, flush=True)  # type: ignore[call-overload]  # a verb's output
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
