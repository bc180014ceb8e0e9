"""The run folder: written ahead while a run goes on, so that nothing is lost when it dies.

An earlier run's files stay where they are until a run really begins: a mistyped word, or a
candidate that is not there, costs no report. Then they are set aside (``.previous-run``, one of
them), and ``report.json`` says ``incomplete`` until the run has ended.
``evidence/results.jsonl`` gets a line when a case begins, one when it ends, and one when the run
does; from these a run that was killed is recovered.
"""

from __future__ import annotations

import dataclasses
import errno
import faulthandler
import os
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from conformance import report as reports
from conformance import schema
from conformance.errors import FormatError, UsageError
from conformance.files import write_atomically
from conformance.ledger import settle
from conformance.raised import last_lines
from conformance.records import CaseResult, Verdict
from conformance.report import json as record
from conformance.verdicts import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from conformance.records import Report, RequirementResult

UNFINISHED = "the run did not finish"
_PREVIOUS = ".previous-run"
_LOG = "evidence/results.jsonl"
_LOG_STEM = "results"
_RENDERED = {"report.html": "html", "junit.xml": "junit"}
"""The report's other faces, written once the run has ended."""
_FILES = ("report.json", *_RENDERED, "evidence", "counterexamples")


class RunFolder:
    """One run's files.

    Args:
        path: the folder.
        job: which of the processes that share the run this is; each has a log of its own.
    """

    def __init__(self, path: Path, job: int = 1) -> None:
        self.path = path.absolute()  # a candidate in this process may change the current folder
        self.report_file = self.path / "report.json"
        self.shown = path / "report.html"
        own = "" if job == 1 else f"-{job}"
        self._log = (self.path / _LOG).with_stem(f"{_LOG_STEM}{own}")
        self._crash = self._log.with_name(f"crash{own}.txt")
        self._read = 0

    def check(self) -> None:
        """Refuse a folder that a run could not use; nothing is changed or made.

        Raises:
            UsageError: the folder cannot be written, or holds files that are no run's.
        """
        left = self._left()
        if left and not self._log.is_file():
            raise UsageError(
                f"{self.path} has a {left[0]} that no run wrote (there is no {_LOG}): name another "
                "folder with --out"
            )
        there = next(place for place in (self.path, *self.path.parents) if place.exists())
        if not there.is_dir():
            raise self._unwritable(f"{there} is no folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise self._unwritable(os.strerror(errno.EACCES))

    def _left(self) -> list[str]:
        return [name for name in _FILES if (self.path / name).exists()]

    def _unwritable(self, why: str | None) -> UsageError:
        return UsageError(
            f"the run folder {self.path} cannot be written ({why}): name another with --out"
        )

    def retire(self) -> None:
        """Make the folder, and set aside what an earlier run left in it.

        Raises:
            UsageError: the folder cannot be written, or holds files that are no run's.
        """
        self.check()
        left = self._left()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if left:
                shutil.rmtree(self.path / _PREVIOUS, ignore_errors=True)
                (self.path / _PREVIOUS).mkdir()
            for name in left:
                (self.path / name).rename(self.path / _PREVIOUS / name)
        except OSError as error:
            raise self._unwritable(error.strerror) from error

    def stamp(self) -> tuple[int, int] | None:
        """Return what tells the report that stands here from any other; None where none does."""
        if not self.report_file.is_file():
            return None
        found = self.report_file.stat()
        return found.st_ino, found.st_mtime_ns

    def told(self) -> str:
        """Return where the report stands, and where the one is that it replaced."""
        lines = [f"report: {self.shown}"]
        if (self.path / _PREVIOUS).is_dir():
            lines.insert(0, f"the earlier report was set aside: {self.shown.parent / _PREVIOUS}")
        return "\n".join(lines)

    def begin(self, report: Report) -> None:
        """Write the report of a run that did not finish."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.touch()
        self._write(report)

    @contextmanager
    def crash_kept(self) -> Iterator[None]:
        """Let Python write the stack of a crash in here; nothing stays where there was none."""
        with self._crash.open("w", encoding="utf-8") as stack:
            faulthandler.enable(stack)
            try:
                yield
            finally:
                faulthandler.disable()
        self._crash.unlink()

    def crash(self) -> str:
        """Return the stack of the crash that ended a run, in short, as an end to a message."""
        if not self._crash.is_file():
            return ""
        lines = last_lines(self._crash.read_text(encoding="utf-8", errors="replace"))
        return "".join(f"\n  {line}" for line in [*lines, f"the whole stack: {self._crash}"])

    def finish(self, report: Report) -> None:
        """Write the report of a run that has ended, in all its forms."""
        self._write(report)
        for name, form in _RENDERED.items():
            write_atomically(self.path / name, reports.render(report, form).encode())
        self._append({"finished": report.outcome.value})

    def finished(self) -> bool:
        """Return whether the run that wrote this folder came to its end."""
        return any("finished" in line for line in self._lines())

    def _write(self, report: Report) -> None:
        write_atomically(self.report_file, record.render(report).encode())

    def case_began(self, identifier: str, requirement: str) -> None:
        """Note that a case has begun."""
        self._append({"began": identifier, "requirement": requirement})

    def case_ended(self, case: CaseResult) -> None:
        """Note the result of a case."""
        self._append({"ended": record.case_document(case)})

    def job_closed(self, learnt: Sequence[Any], faults: Sequence[str]) -> None:
        """Note what a job that ends leaves to the one that leads.

        Args:
            learnt: what it has learnt of the models.
            faults: what went wrong in it that is no candidate's fault.
        """
        self._append({"learnt": list(learnt), "faults": list(faults)})

    def news(self) -> list[dict[str, Any]]:
        """Return the whole lines that the log has got since this was asked last."""
        if not self._log.is_file():
            return []
        with self._log.open("rb") as log:
            log.seek(self._read)
            written = log.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._read += len(whole)
        return _parsed(whole)

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._log.open("ab") as log:
            # On one line: what is cut by a sudden death is then a line that does not parse.
            log.write(schema.dump(line).replace(b"\n", b"") + b"\n")

    def keep_counterexample(self, name: str, document: Mapping[str, Any]) -> str:
        """Store a counterexample; returns its path relative to the run folder."""
        relative = f"counterexamples/{name}.json"
        write_atomically(self.path / relative, schema.dump(document))
        return relative

    def read(self) -> Report:
        """Return the report that stands in the folder.

        Raises:
            UsageError: there is none.
            FormatError: it does not follow its schema.
        """
        if not self.report_file.is_file():
            raise UsageError(f"{self.path} is no run folder: it has no report.json")
        try:
            return record.parse(self.report_file.read_bytes())
        except FormatError as error:
            raise error.in_file(str(self.report_file)) from error

    def durations(self) -> dict[str, float]:
        """Return how long each case took in the run whose report stands here, in seconds."""
        try:
            report = self.read()
        except (FormatError, UsageError, OSError):
            return {}
        return {
            case.id: case.duration
            for r in report.requirements
            for case in r.cases
            if case.verdict is not Verdict.NOT_RUN
        }

    def earlier_durations(self) -> dict[str, float]:
        """Return how long each case took in the run that was set aside, in seconds."""
        return RunFolder(self.path / _PREVIOUS).durations()

    def recover(self, death: str) -> Report:
        """Complete the report of a run that died with what its log holds.

        Args:
            death: how it died, for the case that was running.
        """
        report = self.read()
        logged = self._logged(death)
        results = tuple(_with_logged(result, logged) for result in report.requirements)
        since = datetime.now(UTC) - datetime.fromisoformat(report.run.started)
        recovered = dataclasses.replace(
            report,
            requirements=results,
            # Whatever the log holds, the run did not finish: only a failure can be more than that.
            outcome=outcome_of(results, partial=True),
            run=dataclasses.replace(report.run, duration=since.total_seconds()),
        )
        self.finish(recovered)
        return recovered

    def _logged(self, death: str) -> dict[str, CaseResult]:
        found: dict[str, CaseResult] = {}
        for line in self._lines():
            if "ended" in line:
                case = record.parse_case(line["ended"])
            elif "began" in line:
                name, requirement = line["began"], line["requirement"]
                case = CaseResult(name, requirement, Verdict.NOT_RUN, 0.0, message=death)
            else:
                continue
            found[case.id] = case
        return found

    def _lines(self) -> list[dict[str, Any]]:
        """Return what all jobs have logged.

        A log that somebody removed tells nothing, and so the run has not finished.
        """
        logs = sorted(self._log.parent.glob(f"{_LOG_STEM}*.jsonl"))
        return [line for log in logs for line in _parsed(log.read_bytes())]


def _parsed(written: bytes) -> list[dict[str, Any]]:
    lines = []
    for raw in written.split(b"\n"):
        try:
            lines.append(schema.parse(raw))
        except FormatError:  # the last line, cut by a death
            continue
    return lines


def _with_logged(result: RequirementResult, logged: Mapping[str, CaseResult]) -> RequirementResult:
    """Return a requirement's result with what the log knows of its cases."""
    own = {case.id: case for case in logged.values() if case.requirement == result.requirement.id}
    if not own:
        return result
    cases = {case.id: case for case in result.cases} | own
    return settle(result.requirement, list(cases.values()), UNFINISHED)
