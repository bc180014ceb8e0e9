"""The kill matrix as a record (schema ``kill-matrix``): what was caught, by what, by how much."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from conformance import catalogue, identity, schema
from conformance.matrix import known_faults, smallest_kill, touched
from conformance.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from conformance.matrix import Cell, Row

KILLED, EQUIVALENT, BELOW_NOISE, SURVIVED = "killed", "equivalent", "below the noise", "survived"
"""What can become of a mutant at a precision. The second and third have to be declared with it."""


def document(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the matrix as plain JSON values, of the parts that :func:`part` makes."""
    return {
        "schema": schema.schema_of("kill-matrix")["$id"],
        "suite": identity.suite(),
        "environment": identity.environment(),
        "sources": touched.sources(),
        "precisions": list(parts),
    }


def part(precision: str, rows: Sequence[Row], exported: Sequence[Row] = ()) -> dict[str, Any]:
    """Return the rows of one precision as plain JSON values.

    Args:
        precision: a precision contract.
        rows: honest candidates, and mutants.
        exported: some of the mutants once more, as graphs; they count in no score.
    """
    mutants = [row for row in rows if row.mutant is not None]
    honest = [row for row in rows if row.mutant is None]
    fates = Counter(fate(row, precision) for row in mutants)
    return {
        "precision": precision,
        "score": {"killed": fates[KILLED], "of": len(mutants) - fates[EQUIVALENT]},
        "fates": {name: fates[name] for name in (KILLED, EQUIVALENT, BELOW_NOISE, SURVIVED)},
        "honest": [{**_row(row), "known": dict(known_faults(row.name))} for row in honest],
        "mutants": [_mutant(row, precision, honest) for row in mutants],
        "exported": [_mutant(row, precision, honest) for row in exported],
        "requirements": [_noticed(rows, name) for name in _requirements(rows)],
    }


def fate(row: Row, precision: str) -> str:
    """Return what became of a mutant at a precision."""
    assert row.mutant is not None
    if row.mutant.proof(precision):
        return EQUIVALENT
    if row.killed_by:
        return KILLED
    return BELOW_NOISE if precision in row.mutant.below_noise_at else SURVIVED


def false_alarms(rows: Sequence[Row], precision: str) -> list[str]:
    """Return the honest candidates and variants that some requirement did not pass, and why.

    But for what a runtime is known to do wrong: that alarm is none that is false.
    """
    passed = (Verdict.PASS, Verdict.NOT_APPLICABLE)
    return [
        f"{row.name}: {cell.requirement} {cell.verdict.name} {cell.message}"
        for row in rows
        if row.mutant is None or row.mutant.proof(precision)
        for cell in row.cells
        if cell.verdict not in passed and cell.requirement not in known_faults(row.name)
    ]


def missed(row: Row, among: Collection[str] | None = None) -> list[str]:
    """Return the requirements that a mutant is said to be killed by, and was not.

    Args:
        row: a row of the matrix.
        among: the requirements that it was tried on; None for all.
    """
    if row.mutant is None:
        return []
    verdicts = {cell.requirement: cell.verdict for cell in row.cells}
    return [
        f"{row.name} by {name}"
        for name in row.mutant.kills
        if verdicts.get(name) is not Verdict.FAIL and (among is None or name in among)
    ]


def _mutant(row: Row, precision: str, honest: Sequence[Row]) -> dict[str, Any]:
    mutant = row.mutant
    assert mutant is not None
    return {
        "topic": mutant.topic,
        "summary": mutant.summary,
        "bug": mutant.bug,
        "replaces": mutant.replaces,
        "kills": list(mutant.kills),
        "reason": mutant.proof(precision) or mutant.survives,
        "fate": fate(row, precision),
        "nearest": _nearest(row, honest),
        **_row(row),
    }


def _row(row: Row) -> dict[str, Any]:
    return {"name": row.name, "cells": [_cell(cell) for cell in row.cells]}


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "requirement": cell.requirement,
        "verdict": cell.verdict.name,
        "severity": cell.severity,
        "check": cell.check,
        "failed": list(cell.failed),
        "unit": cell.worst.unit if cell.worst else "",
        "observed": cell.worst.observed if cell.worst else None,
        "limit": cell.worst.limit if cell.worst else None,
    }


def _nearest(row: Row, honest: Sequence[Row]) -> dict[str, Any] | None:
    """Return how near a mutant that was not killed came to a limit of those that should kill it.

    Beside it stands the most that an honest candidate reached there.
    """
    assert row.mutant is not None
    named = [cell for cell in row.cells if cell.requirement in row.mutant.kills and cell.worst]
    if row.killed_by or not named:
        return None
    cell = max(named, key=lambda one: one.severity)
    same = [c for other in honest for c in other.cells if c.requirement == cell.requirement]
    most = max((c.worst.observed for c in same if c.worst), default=None)
    return {**_cell(cell), "honest": most}


def _requirements(rows: Sequence[Row]) -> list[str]:
    """Return the ids of all columns, in the order of the honest row."""
    return list(dict.fromkeys(cell.requirement for row in rows for cell in row.cells))


def _noticed(rows: Sequence[Row], requirement: str) -> dict[str, Any]:
    """Return the smallest fault that a requirement is known to notice: its vacuity meter."""
    smallest = smallest_kill(rows, requirement)
    return {
        "id": requirement,
        "checks": [check.name for check in catalogue.deciding(requirement)],
        "kills": sum(requirement in row.killed_by for row in rows if row.mutant is not None),
        "smallest": None
        if smallest is None
        else {"mutant": smallest[0].name, **_cell(smallest[1])},
    }
