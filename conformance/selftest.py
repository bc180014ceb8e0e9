"""The suite tries itself on the user's machine: does it still tell wrong from right here?

The quick trial passes an honest candidate and fails a fixed choice of mutants, one for each
requirement; its result is kept, and reports quote it. The whole matrix tries every mutant at every
precision, and is what the score is taken from.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance import files, matrix, mutants, proof, schema
from conformance.matrix import Row, page, record
from conformance.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from conformance.matrix import Cell

PRECISIONS = ("fp32", "fp16", "bf16")
_LONGEST = ("fp16", "bf16", "fp32")
"""In which order halves are begun: torch has no fast products in float16 on most CPUs."""
_SHARES = 4
"""Into how many shares a half is divided at most: each draws the inputs anew."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a self-test found."""

    passed: bool
    lines: tuple[str, ...]


def chosen_mutants() -> tuple[str, ...]:
    """Return the fixed choice: the first mutant of each requirement that nothing chosen kills."""
    wanted: list[str] = []
    killed: set[str] = set()
    for mutant in mutants.all_mutants().values():
        if mutant.replaces != "graph" and not set(mutant.kills) <= killed:
            wanted.append(mutant.name)
            killed |= set(mutant.kills)
    return tuple(wanted)


def quick() -> Trial:
    """Try the honest candidate and the chosen mutants at fp32, and keep the result."""
    rows = list(matrix.rows(only=chosen_mutants(), declared=True))
    alarms = record.false_alarms(rows, PRECISIONS[0])
    problems = [f"honest candidate failed: {line}" for line in alarms]
    problems += [f"not caught: {line}" for row in rows for line in missed(row)]
    tried = sum(row.mutant is not None for row in rows)
    lines = problems or [f"passed an honest candidate and caught {tried} of {tried} mutants"]
    proof.keep_selftest(passed=not problems, lines=lines)
    return Trial(not problems, tuple(lines))


def missed(row: Row) -> list[str]:
    """Return the requirements that a mutant is said to be killed by, and was not."""
    if row.mutant is None:
        return []
    verdicts = {cell.requirement: cell.verdict for cell in row.cells}
    return [
        f"{row.name} by {name}"
        for name in row.mutant.kills
        if verdicts.get(name) is not Verdict.FAIL
    ]


def whole(folder: Path, precisions: Sequence[str] = PRECISIONS, jobs: int = 1) -> Trial:
    """Try every mutant at every precision; write kill-matrix.json and kill-matrix.html.

    Passed where no honest candidate was failed, no mutant survived, and at fp32 each mutant was
    failed by every requirement that it names.

    Args:
        folder: where the two files go.
        precisions: names of precision contracts.
        jobs: how many tasks are tried at a time, each in a process of its own.
    """
    tasks = _tasks(precisions, jobs)
    if jobs == 1:
        cells = [_tried(*task) for task in tasks]
    else:
        fresh = multiprocessing.get_context("spawn")  # torch and ONNX Runtime do not survive forks
        with ProcessPoolExecutor(jobs, fresh) as processes:
            cells = list(processes.map(_tried, *zip(*tasks, strict=True)))
    found = dict(zip(tasks, cells, strict=True))
    parts: list[dict[str, Any]] = []
    problems: list[str] = []
    for precision in precisions:
        rows = _joined(row for task in tasks if task[0] == precision for row in found[task])
        graphs = list(matrix.exported()) if precision == PRECISIONS[0] else []
        parts.append(record.part(precision, rows, graphs))
        problems += [f"{precision}: {line}" for line in _problems(precision, rows, graphs)]
    document = record.document(parts)
    schema.validate("kill-matrix", json.loads(schema.dump(document)))
    files.write_atomically(folder / "kill-matrix.json", schema.dump(document))
    files.write_atomically(folder / "kill-matrix.html", page.render(document).encode())
    return Trial(not problems, (*problems, proof.score(document)))


def _tasks(precisions: Sequence[str], jobs: int) -> list[tuple[str, str, int, int]]:
    """Return precision, half, and which of how many shares, the longest tasks first.

    Only the decoder's half is long enough to be divided.
    """
    ordered = sorted(precisions, key=_LONGEST.index)
    shares = {half: min(jobs, _SHARES) if half == matrix.HALVES[0] else 1 for half in matrix.HALVES}
    return [
        (precision, half, first, shares[half])
        for half in matrix.HALVES
        for precision in ordered
        for first in range(shares[half])
    ]


def _tried(precision: str, half: str, first: int, step: int) -> list[tuple[str, tuple[Cell, ...]]]:
    """Try a share of one half at a precision; rows by name, since mutants cannot be sent."""
    found = []
    honest, share = matrix.HONEST[precision], (first, step)
    for row in matrix.rows(precision=precision, honest=honest, halves=[half], share=share):
        found.append((row.name, row.cells))
        _say(f"{precision} {row.name}: {', '.join(row.killed_by) or 'passes'}")
    return found


def _joined(named: Iterable[tuple[str, tuple[Cell, ...]]]) -> list[Row]:
    """Return the rows of all tasks in the mutants' order, each honest candidate's in one."""
    joined: dict[str, tuple[Cell, ...]] = {}
    for name, cells in named:
        joined[name] = joined.get(name, ()) + cells
    known = mutants.all_mutants()
    places = {name: i for i, name in enumerate(known)}
    ordered = sorted(joined, key=lambda name: places.get(name, -1))  # honest ones come first
    return [Row(name, known.get(name), joined[name]) for name in ordered]


def _problems(precision: str, rows: Sequence[Row], graphs: Sequence[Row]) -> list[str]:
    """Return what a sound suite would not have let happen."""
    problems = record.false_alarms(rows, precision)
    if precision == PRECISIONS[0]:
        problems += [f"not caught: {line}" for row in [*rows, *graphs] for line in missed(row)]
    return problems + [
        f"survived: {row.name}"
        for row in rows
        if row.mutant
        and not row.mutant.survives  # that it does is known, and why
        and record.fate(row, precision) == record.SURVIVED
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # of minutes, the user sees each step
