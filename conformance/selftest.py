"""The suite tries itself on the user's machine: does it still tell wrong from right here?

The quick trial passes an honest candidate and fails a fixed choice of mutants, one for each
requirement of profiles `decoder` and `operators`; its result is kept, and reports quote it. The
whole matrix, which the score is taken from, is ``conformance/matrix/runs.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance import matrix, mutants, proof, spec
from conformance.matrix import record


@dataclass(frozen=True, slots=True)
class Trial:
    """What a self-test found."""

    passed: bool
    lines: tuple[str, ...]


_SLOW = "FAULT-001"
"""Compares with every known fault: minutes on a slow machine."""


def asked() -> frozenset[str]:
    """Return the requirements of the trial."""
    profiles = spec.load().profiles
    return frozenset(r for half in matrix.HALVES for r in profiles[half].requirements) - {_SLOW}


def chosen_mutants() -> tuple[str, ...]:
    """Return the fixed choice: the first mutant of each requirement that nothing chosen kills.

    Exported graphs take longest, and are tried for what nothing else shows.
    """
    wanted: list[str] = []
    missing = set(asked())
    for mutant in sorted(mutants.all_mutants().values(), key=lambda m: m.replaces == "graph"):
        if missing & set(mutant.kills):
            wanted.append(mutant.name)
            missing -= set(mutant.kills)
    return tuple(wanted)


def quick() -> Trial:
    """Try the honest candidate and the chosen mutants at fp32, and keep the result."""
    without = set(spec.load().requirements) - asked()
    rows = list(matrix.rows(only=chosen_mutants(), declared=True, without=without))
    alarms = record.false_alarms(rows, "fp32")
    problems = [f"honest candidate failed: {line}" for line in alarms]
    problems += [f"not caught: {line}" for row in rows for line in record.missed(row, asked())]
    tried = sum(row.mutant is not None for row in rows)
    lines = problems or [f"passed an honest candidate and caught {tried} of {tried} mutants"]
    proof.keep_selftest(passed=not problems, lines=lines)
    return Trial(not problems, tuple(lines))
