"""What a change touches of the kill matrix, and whose turn it is of all the rest.

Honest candidates are held against a requirement anew where the file of a check of it has changed. A
mutant is touched where the file that it stands in has changed since it was last held against what
it names, or, at fp32, the file of a check that it names. Judges, oracles, adapters and the
reference model touch every cell; of what only they touch a share is tried at each revision, another
at the next.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import catalogue, checks, mutants

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.catalogue import Check
    from conformance.mutants import Mutant

_FOLDERS = (mutants, checks)


def sources() -> dict[str, str]:
    """Return the digest of each file that mutants or checks stand in, by folder and name."""
    files = (file for folder in _FOLDERS for file in Path(*folder.__path__).glob("*.py"))
    return {
        f"{file.parent.name}/{file.stem}": hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
    }


def source_of(mutant: Mutant) -> str:
    """Return the name of the file that a mutant stands in, as :func:`sources` has it."""
    return f"mutants/{mutant.topic}"


def touched(seen: Mapping[str, str], *, by_checks: bool = True) -> tuple[str, ...]:
    """Return the mutants that are not as they were last tried, or are not tried as they were.

    Args:
        seen: what :func:`sources` returned then.
        by_checks: whether a change of a check touches all that name it.
    """
    changed = _changed(seen)
    return tuple(
        name
        for name, mutant in mutants.all_mutants().items()
        if source_of(mutant) in changed
        or (by_checks and not changed.isdisjoint(sources_of(mutant.kills)))
    )


def requirements(seen: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the requirements of which a deciding check is not as it was.

    Args:
        seen: what :func:`sources` returned then.
    """
    changed = _changed(seen)
    checks = catalogue.all_checks()
    return tuple(dict.fromkeys(c.requirement for c in checks if _file_of(c) in changed))


def sources_of(requirements: Iterable[str]) -> set[str]:
    """Return the files of the checks that decide requirements, as :func:`sources` has them."""
    return {_file_of(check) for name in requirements for check in catalogue.deciding(name)}


def _changed(seen: Mapping[str, str]) -> set[str]:
    return {name for name, digest in sources().items() if seen.get(name) != digest}


def _file_of(check: Check) -> str:
    return f"checks/{check.module}"


def turn(names: Iterable[str], of: int, revision: str) -> list[str]:
    """Return the names whose turn it is.

    Args:
        names: what is to be tried by and by.
        of: into how many shares they are divided.
        revision: what chooses the share, such as a digest of the suite.
    """
    now = _number(revision, of)
    return [name for name in names if _number(name, of) == now]


def _number(text: str, of: int) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % of
