"""Jobs: the processes that share one run, and how each knows what is its own.

Every job is a hermetic pytest process that plans the whole run by itself. They share a folder that
``hermetic`` makes and that lives as long as they do. What belongs together, the cases of a model or
of a check module, is one job's: of whoever comes first, the costliest first, so that a model's
oracle and noise are computed in one process and no job waits long for another. The first job leads:
report and run folder are its own. The others write logs beside its log, and it reads them.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from conformance.errors import UsageError
from conformance.records import CaseResult, Verdict
from conformance.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pytest

_BEGUN = "begun"
_POLL_S = 0.05
_POSITIONS = 8192
"""Positions of a model that are taken to cost as much as a case does without any."""


@dataclass(frozen=True, slots=True)
class Job:
    """One of the processes that share a run."""

    number: int
    """Counted from 1; the first one leads."""
    folder: Path
    """What the jobs of a run share."""

    def __str__(self) -> str:
        """Return it as pytest is told it; :func:`parse` reads it back."""
        return f"{self.number}:{self.folder}"

    @property
    def leads(self) -> bool:
        """Whether the report is its own."""
        return self.number == 1

    def begin(self) -> None:
        """Let the others begin: the run folder is made, and an earlier run's files set aside."""
        (self.folder / _BEGUN).touch()

    def wait_for_leader(self) -> None:
        """Wait until the first job has begun; where it cannot, this process is ended."""
        while not (self.folder / _BEGUN).exists():
            time.sleep(_POLL_S)

    def takes(self, group: str) -> bool:
        """Return whether a group is this job's: it is of the one that asks first."""
        try:
            (self.folder / f"taken-{quote(group, safe='')}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def ended(self, status: int) -> None:
        """Note that its process has ended, for the job that leads."""
        unfinished = self.folder / f"ending-{self.number}"
        unfinished.write_text(str(status), encoding="ascii")
        unfinished.rename(self._end)

    def status(self) -> int | None:
        """Return the exit status of its process; None while it runs."""
        return int(self._end.read_text(encoding="ascii")) if self._end.exists() else None

    @property
    def _end(self) -> Path:
        return self.folder / f"ended-{self.number}"


def parse(text: str, count: int) -> Job | None:
    """Return which of ``count`` jobs a pytest process is; None where it is the only one.

    Raises:
        UsageError: there are to be several, and nobody has started them.
    """
    if count > 1 and not text:
        raise UsageError(
            "--llm-jobs belongs to `llm-conformance run --jobs`, which starts them; spread pytest "
            "itself over processes with `-n` of pytest-xdist"
        )
    number, _, folder = text.partition(":")
    return Job(int(number), Path(folder)) if text else None


def share(
    job: Job,
    items: Iterable[pytest.Item],
    group_of: Callable[[pytest.Item], str],
    costs: Mapping[str, float],
) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Yield the items that no other job has taken, each with the next of its group.

    Args:
        job: whose share it is.
        items: what the run has.
        group_of: the group that an item belongs to.
        costs: what a case of a group costs, as far as is known; 1 where it is not.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item), []).append(item)
    for group, own in sorted(groups.items(), key=lambda g: -costs.get(g[0], 1.0) * len(g[1])):
        if job.takes(group):
            yield from zip(own, [*own[1:], None], strict=True)


def costs(past: Mapping[str, float], positions: Mapping[str, int]) -> dict[str, float]:
    """Return what a case of each model costs: as in an earlier run, else by how long rows can be.

    Args:
        past: seconds of each case in an earlier run, by case id.
        positions: how many positions each model of the run has.
    """
    found = {name: 1 + count / _POSITIONS for name, count in positions.items()}
    for name in positions:
        spent = [seconds for case, seconds in past.items() if name in case.split("/")]
        if spent:
            found[name] = sum(spent) / len(spent)
    return found


class Others:
    """What the other jobs of a run have done, for the one that leads.

    Args:
        leader: the job that leads.
        count: how many jobs there are.
        run: the run folder.
        hear: takes each line of their logs.
    """

    def __init__(
        self, leader: Job, count: int, run: Path, hear: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._jobs = [Job(number, leader.folder) for number in range(2, count + 1)]
        self._logs = {job.number: RunFolder(run, job.number) for job in self._jobs}
        self._hear = hear
        self._running: dict[int, Mapping[str, Any]] = {}
        self._closed: set[int] = set()

    def listen(self) -> None:
        """Hear what they have logged since."""
        for number, log in self._logs.items():
            for line in log.news():
                if "began" in line:
                    self._running[number] = line
                elif "ended" in line:
                    self._running.pop(number, None)
                elif "learnt" in line:
                    self._closed.add(number)
                self._hear(line)

    def wait(self, *, at_most: float = math.inf) -> None:
        """Listen until none of their processes runs any more, at most so many seconds."""
        until = time.monotonic() + at_most
        while any(job.status() is None for job in self._jobs) and time.monotonic() < until:
            self.listen()
            time.sleep(_POLL_S)
        self.listen()

    def deaths(self) -> Iterator[tuple[str, CaseResult | None]]:
        """Yield how each died that did not come to its end, and the case that it was at, not run.

        How it died is one line, and where Python could write it the stack of its crash.
        """
        for job in self._jobs:
            status = job.status()
            if status is None or (status >= 0 and job.number in self._closed):
                continue
            how = f"job {job.number} of the run died (exit status {status})"
            began = self._running.get(job.number)
            told = f"{how}{self._logs[job.number].crash()}"
            yield told, None if began is None else _not_run(began, how)


def _not_run(began: Mapping[str, Any], why: str) -> CaseResult:
    return CaseResult(began["began"], began["requirement"], Verdict.NOT_RUN, 0.0, message=why)
