"""The kept summary of the matrix, with mutants and requirements that came since it was measured.

A new mutant is held against what it names, and where that does not kill it against everything; all
that there is, against new requirements; what a change touches, once more against what it names; and
honest candidates, against requirements whose checks have changed.
The rest stays as it was found, so that a new check costs its own minutes and not those of all
others; the whole matrix is measured now and then.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from conformance import identity, mutants
from conformance.matrix import record, touched

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from conformance.matrix import Row

_FATES = (record.KILLED, record.EQUIVALENT, record.BELOW_NOISE, record.SURVIVED)


@dataclass(frozen=True, slots=True)
class Missing:
    """What the summary of a precision lacks."""

    mutants: tuple[str, ...]
    requirements: tuple[str, ...]
    touched: tuple[str, ...] = ()
    """Mutants that it has, and that are not as they were when they were tried."""
    changed: tuple[str, ...] = ()
    """Requirements that it has, of which a check is not as it was."""


def missing(part: Mapping[str, Any], ids: Collection[str], seen: Mapping[str, str]) -> Missing:
    """Return which mutants, and which of all requirements, the summary of a precision lacks.

    Args:
        part: the summary of a precision.
        ids: all requirements there are.
        seen: the digests of the files of mutants and checks when they were last tried.
    """
    measured = {row["id"] for row in part["requirements"]}
    # In narrow types a check costs several times as much, and tells little that fp32 does not.
    again = touched.touched(seen, by_checks=part["precision"] == "fp32")
    return Missing(
        tuple(name for name in mutants.all_mutants() if name not in part["mutants"]),
        tuple(name for name in ids if name not in measured),
        tuple(name for name in again if name in part["mutants"]),
        tuple(name for name in touched.requirements(seen) if name in measured),
    )


def extended(
    kept: Mapping[str, Any],
    rows: Mapping[str, Sequence[Row]],
    ids: Sequence[str],
    again: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    wrong: Collection[str] = (),
    accusing: Collection[str] = (),
) -> dict[str, Any]:
    """Return a summary with what was measured since.

    Args:
        kept: the summary as it was.
        rows: by precision, new mutants on all requirements, and all rows on new requirements.
        ids: all requirements there are, in their order.
        again: by precision, what became of touched mutants.
        wrong: touched mutants that are not killed any more as they say: they stay touched.
        accusing: requirements whose changed checks fail an honest candidate: they stay changed.
    """
    parts = [
        _part(part, rows.get(part["precision"], ()), ids, again.get(part["precision"], {}))
        for part in kept["precisions"]
    ]
    known = mutants.all_mutants()
    stale = {touched.source_of(known[name]) for name in wrong} | touched.sources_of(accusing)
    seen = {name: digest for name, digest in touched.sources().items() if name not in stale}
    return {"suite": identity.suite(), "sources": seen, "precisions": parts}


def _part(
    part: Mapping[str, Any], rows: Sequence[Row], ids: Sequence[str], again: Mapping[str, str]
) -> dict[str, Any]:
    added = record.part(part["precision"], rows)
    before = {**part["mutants"], **again}
    found = {**before, **dict(_fates(before, added))}
    fates = {name: fate for name, fate in sorted(found.items()) if name in mutants.all_mutants()}
    counted = Counter(fates.values())
    noticed = {row["id"]: row for row in part["requirements"]}
    for row in added["requirements"]:
        noticed[row["id"]] = _folded(noticed[row["id"]], row) if row["id"] in noticed else row
    return {
        **part,
        "score": {
            "killed": counted[record.KILLED],
            "of": len(fates) - counted[record.EQUIVALENT],
        },
        "fates": {name: counted[name] for name in _FATES},
        "mutants": fates,
        "requirements": [noticed[name] for name in ids if name in noticed],
    }


def _fates(before: Mapping[str, str], added: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return what became of each new mutant, and of old ones that a new requirement kills."""
    for row in added["mutants"]:
        killed = row["fate"] == record.KILLED
        if row["name"] not in before or (killed and before[row["name"]] != record.EQUIVALENT):
            yield row["name"], row["fate"]


def _folded(before: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an old requirement notices, with the new mutants that it kills."""
    known = [row["smallest"] for row in (before, added) if row["smallest"] is not None]
    return {
        **before,
        "checks": added["checks"],
        "kills": before["kills"] + added["kills"],
        "smallest": min(known, key=_severity, default=None),
    }


def _severity(smallest: Mapping[str, Any]) -> float:
    """Return how far a kill was over its limit; what failed without a number is the largest."""
    severity = smallest["severity"]
    return math.inf if severity is None else float(severity)
