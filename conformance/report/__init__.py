"""Reports: the record of a run rendered as text, one module a format.

Importable without torch and without pytest: a report is read on machines that have neither.
A module (or folder) here is a format, found by its name, with ``render(report) -> str``, and with
``render_several(runs) -> str`` where it can tell of several side by side; those whose names start
with an underscore are what the formats share.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from conformance.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from types import ModuleType

    from conformance.records import Report, SideBySide


def formats() -> list[str]:
    """Return the names of the formats, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def render(report: Report, format: str) -> str:  # noqa: A002  # the word of the command line
    """Return the report as text in a format.

    Raises:
        UsageError: there is no format of that name.
    """
    text: str = _module(format).render(report)
    return text


def render_several(runs: SideBySide, format: str) -> str:  # noqa: A002  # the same
    """Return several runs side by side as text in a format.

    Raises:
        UsageError: there is no format of that name, or it tells of one run alone.
    """
    module = _module(format)
    if not hasattr(module, "render_several"):
        able = [name for name in formats() if hasattr(_module(name), "render_several")]
        raise UsageError(
            f"format {format} tells of one run; several stand side by side in {', '.join(able)}"
        )
    text: str = module.render_several(runs)
    return text


def _module(name: str) -> ModuleType:
    known = formats()
    if name not in known:
        raise UsageError(f"there is no report format {name!r}.{did_you_mean(name, known)}")
    return importlib.import_module(f"{__name__}.{name}")
