"""Reports: the record of a run rendered as text, one module a format.

Importable without torch and without pytest: a report is read on machines that have neither.
A module (or folder) here is a format, found by its name, with ``render(report) -> str``; those
whose names start with an underscore are what the formats share.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from conformance.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from conformance.records import Report


def formats() -> list[str]:
    """Return the names of the formats, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def render(report: Report, format: str) -> str:  # noqa: A002  # the word of the command line
    """Return the report as text in a format.

    Raises:
        UsageError: there is no format of that name.
    """
    known = formats()
    if format not in known:
        raise UsageError(f"there is no report format {format!r}.{did_you_mean(format, known)}")
    text: str = importlib.import_module(f"{__name__}.{format}").render(report)
    return text
