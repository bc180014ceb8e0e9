"""The kill matrix as a record (schema ``kill-matrix``): what was caught, by what, by how much."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from conformance import catalogue, identity, schema
from conformance.matrix import known_faults, smallest_kill
from conformance.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conformance.matrix import Cell, Row

KILLED, EQUIVALENT, BELOW_NOISE, SURVIVED = "killed", "equivalent", "below the noise", "survived"
"""What can become of a mutant. Below the noise: killed at fp32, and too small for this type."""


def document(found: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Return the matrix as plain JSON values.

    Args:
        found: the rows of each precision; fp32 decides what can be below the noise elsewhere.
    """
    at_fp32 = {row.name for row in found.get("fp32", ()) if row.killed_by}
    return {
        "schema": schema.schema_of("kill-matrix")["$id"],
        "suite": identity.suite(),
        "environment": identity.environment(),
        "precisions": [_precision(name, rows, at_fp32) for name, rows in found.items()],
    }


def _precision(precision: str, rows: Sequence[Row], at_fp32: set[str]) -> dict[str, Any]:
    mutants = [row for row in rows if row.mutant is not None]
    fates = Counter(fate(row, at_fp32) for row in mutants)
    return {
        "precision": precision,
        "score": {"killed": fates[KILLED], "of": len(mutants) - fates[EQUIVALENT]},
        "fates": {name: fates[name] for name in (KILLED, EQUIVALENT, BELOW_NOISE, SURVIVED)},
        "honest": [_row(row) for row in rows if row.mutant is None],
        "mutants": [{**_told(row), "fate": fate(row, at_fp32), **_row(row)} for row in mutants],
        "requirements": [_noticed(rows, name) for name in _requirements(rows)],
    }


def fate(row: Row, at_fp32: set[str]) -> str:
    """Return what became of a mutant."""
    assert row.mutant is not None
    if row.killed_by:
        return KILLED
    if row.mutant.equivalent:
        return EQUIVALENT
    return BELOW_NOISE if row.name in at_fp32 else SURVIVED


def false_alarms(rows: Sequence[Row]) -> list[str]:
    """Return the honest candidates and variants that some requirement did not pass, and why.

    But for what a runtime is known to do wrong: that alarm is none that is false.
    """
    passed = (Verdict.PASS, Verdict.NOT_APPLICABLE)
    return [
        f"{row.name}: {cell.requirement} {cell.verdict.name} {cell.message}"
        for row in rows
        if row.mutant is None or row.mutant.equivalent
        for cell in row.cells
        if cell.verdict not in passed and cell.requirement not in known_faults(row.name)
    ]


def _told(row: Row) -> dict[str, Any]:
    mutant = row.mutant
    assert mutant is not None
    return {
        "topic": mutant.topic,
        "summary": mutant.summary,
        "bug": mutant.bug,
        "replaces": mutant.replaces,
        "kills": list(mutant.kills),
        "reason": mutant.equivalent or mutant.survives,
    }


def _row(row: Row) -> dict[str, Any]:
    return {"name": row.name, "cells": [_cell(cell) for cell in row.cells]}


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "requirement": cell.requirement,
        "verdict": cell.verdict.name,
        "severity": cell.severity,
        "unit": cell.worst.unit if cell.worst else "",
        "observed": cell.worst.observed if cell.worst else None,
    }


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
        "smallest": None if smallest is None else {"mutant": smallest[0], "severity": smallest[1]},
    }
