"""Reads the record of a run, without what a run itself would need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conformance.errors import FormatError, UsageError

if TYPE_CHECKING:
    from conformance.records import Report


def read_report(run: str) -> Report:
    """Return the report of a run.

    Args:
        run: a run folder, or a ``report.json`` wherever it stands.

    Raises:
        UsageError: there is none.
        FormatError: it does not follow its schema, or contradicts itself.
    """
    from conformance.report import json as record  # noqa: PLC0415  # most verbs read no report

    path = Path(run)
    if not path.exists():
        raise UsageError(f"{run!r} does not exist; name a run folder or a report.json")
    file = path / "report.json" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{run!r} is no run folder: it has no report.json")
    try:
        return record.parse(file.read_bytes())
    except FormatError as error:
        raise error.in_file(str(file)) from None


def folder_of(run: str) -> Path:
    """Return the folder that a run's other files stand in."""
    path = Path(run)
    return path if path.is_dir() else path.parent
