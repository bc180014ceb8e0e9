"""Data formats: one module for each whose rules JSON Schema cannot state, found by its name.

The module of kind ``hf-config`` is ``hf_config``. It has ``check(document)``, which runs layers L2
(schema) and L3 (meaning) on a parsed document, and where its files are no plain JSON or lean on
other files, ``check_file(path)``. A kind without a module has a schema alone.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from conformance import schema
from conformance.errors import FormatError, UsageError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def kinds() -> list[str]:
    """Return the kinds of files that can be checked."""
    return sorted({*schema.kinds(), *_modules()})


def check(kind: str, document: Any) -> None:
    """Check a parsed document by itself: layers L2 and L3.

    Raises:
        UsageError: there is no such kind, or its files are not JSON.
        FormatError: the document is refused.
    """
    module = _module(kind)
    if module is None:
        schema.validate(kind, document)
    elif hasattr(module, "check"):
        module.check(document)
    else:
        raise UsageError(f"a file of kind {kind!r} is not a JSON document; check the file")


def check_file(kind: str, path: Path) -> None:
    """Check a file through all layers, files that it leans on included.

    Raises:
        UsageError: there is no such kind, or the file cannot be read.
        FormatError: the file is refused; it carries the file's name.
    """
    module = _module(kind)
    if module is not None and hasattr(module, "check_file"):
        module.check_file(path)
        return
    document = schema.load(path)
    try:
        check(kind, document)
    except FormatError as error:
        raise error.in_file(str(path)) from None


def _modules() -> list[str]:
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return [name.replace("_", "-") for name in names if not name.startswith("_")]


def _module(kind: str) -> ModuleType | None:
    if kind not in kinds():
        raise UsageError(f"there is no format of kind {kind!r}.{did_you_mean(kind, kinds())}")
    if kind not in _modules():
        return None
    return importlib.import_module(f"{__name__}.{kind.replace('-', '_')}")
