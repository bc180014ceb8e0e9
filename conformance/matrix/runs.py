"""The whole matrix, or what is new of it, tried in several processes; what was wrong is told."""

from __future__ import annotations

import functools
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance import files, matrix, mutants, proof, schema, spec
from conformance.matrix import Row, extension, page, record
from conformance.selftest import Trial

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from conformance.matrix import Cell

PRECISIONS = ("fp32", "fp16", "bf16")
_LONGEST = ("fp16", "bf16", "fp32")
"""In which order halves are begun: torch has no fast products in float16 on most CPUs."""
_SHARES = 4
"""Into how many shares a half is divided at most: each draws the inputs anew."""


def whole(folder: Path, precisions: Sequence[str] = PRECISIONS, jobs: int = 1) -> Trial:
    """Try every mutant at every precision; write kill-matrix.json and kill-matrix.html.

    Passed where no honest candidate was failed, no mutant survived, and at fp32 each mutant was
    failed by every requirement that it names.

    Args:
        folder: where the two files go.
        precisions: names of precision contracts.
        jobs: how many tasks are tried at a time, each in a process of its own.
    """
    found = _tried_all(_tasks(precisions, jobs), jobs)
    parts: list[dict[str, Any]] = []
    problems: list[str] = []
    for precision, rows in found.items():
        graphs = list(matrix.exported()) if precision == PRECISIONS[0] else []
        parts.append(record.part(precision, rows, graphs))
        problems += [f"{precision}: {line}" for line in _problems(precision, rows, graphs)]
    document = record.document(parts)
    schema.validate("kill-matrix", json.loads(schema.dump(document)))
    files.write_atomically(folder / "kill-matrix.json", schema.dump(document))
    files.write_atomically(folder / "kill-matrix.html", page.render(document).encode())
    return Trial(not problems, (*problems, proof.score(document)))


def extend(jobs: int = 1) -> Trial:
    """Try what the kept summary lacks, and write the summary with all of it that is not wrong.

    What is wrong stays lacking, and is tried again the next time, without the hours of the rest.

    Args:
        jobs: how many tasks are tried at a time, each in a process of its own.
    """
    ids = tuple(spec.load().requirements)
    kept = proof.kept()
    lacking = {
        part["precision"]: extension.missing(part, ids, kept["sources"])
        for part in kept["precisions"]
    }
    found = _tried_all(_tasks([*lacking], jobs, lacking), jobs)
    divided = {name: _divided(name, rows, lacking[name]) for name, rows in found.items()}
    problems = [f"{name}: {line}" for name, one in divided.items() for line in one.problems]
    sound = {name: one.sound for name, one in divided.items()}
    lost = {name for one in divided.values() for name in one.lost}
    again = {name: one.again for name, one in divided.items()}
    accusing = {name for one in divided.values() for name in one.accusing}
    document = extension.extended(kept, sound, ids, again, lost, accusing)
    proof.FILE.write_bytes(schema.dump(document))
    return Trial(not problems, (*problems, proof.score(document)))


@dataclass(frozen=True, slots=True)
class _Task:
    """A part of the matrix that one process tries."""

    precision: str
    half: str
    share: tuple[int, int]
    lacking: extension.Missing | None = None
    """The mutants and requirements that are new, where only what concerns them is tried."""

    def rows(self) -> Iterator[Row]:
        """Judge the task's rows."""
        rows = functools.partial(
            matrix.rows, precision=self.precision, halves=[self.half], share=self.share
        )
        honest = matrix.HONEST[self.precision]
        if self.lacking is None:
            yield from rows(honest=honest)
            return
        new = self.lacking
        others = [name for name in mutants.all_mutants() if name not in new.mutants]
        older = [name for name in spec.load().requirements if name not in new.requirements]
        for names, without in ((new.mutants, ()), (new.touched, new.requirements)):
            alive = []
            for row in rows(honest=(), only=names, declared=True, without=without):
                if row.killed_by or (row.mutant and row.mutant.equivalent):
                    yield row
                else:
                    alive.append(row.name)
            yield from rows(honest=(), only=alive, without=without)
        if new.requirements:
            yield from rows(honest=honest, only=others, without=older)
        if new.changed:
            unchanged = set(spec.load().requirements).difference(new.changed)
            yield from rows(honest=honest, only=(), without=unchanged)


def _tasks(
    precisions: Sequence[str], jobs: int, lacking: Mapping[str, extension.Missing] | None = None
) -> list[_Task]:
    """Return the tasks, the longest first; only the decoder's half is long enough to be divided."""
    ordered = sorted(precisions, key=_LONGEST.index)
    shares = {half: min(jobs, _SHARES) if half == matrix.HALVES[0] else 1 for half in matrix.HALVES}
    return [
        _Task(precision, half, (first, shares[half]), (lacking or {}).get(precision))
        for half in matrix.HALVES
        for precision in ordered
        for first in range(shares[half])
    ]


def _tried_all(tasks: Sequence[_Task], jobs: int) -> dict[str, list[Row]]:
    """Try tasks, several at a time; return the rows of each precision."""
    if jobs == 1:
        cells = [_tried(task) for task in tasks]
    else:
        fresh = multiprocessing.get_context("spawn")  # torch and ONNX Runtime do not survive forks
        with ProcessPoolExecutor(jobs, fresh) as processes:
            cells = list(processes.map(_tried, tasks))
    found = list(zip(tasks, cells, strict=True))
    return {
        precision: _joined(
            row for task, rows in found if task.precision == precision for row in rows
        )
        for precision in PRECISIONS
        if any(task.precision == precision for task in tasks)
    }


def _tried(task: _Task) -> list[tuple[str, tuple[Cell, ...]]]:
    """Try a task; rows by name, since mutants cannot be sent between processes."""
    found = []
    for row in task.rows():
        found.append((row.name, row.cells))
        if row.cells:
            _say(f"{task.precision} {row.name}: {', '.join(row.killed_by) or 'passes'}")
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


def _problems(
    precision: str,
    rows: Sequence[Row],
    graphs: Sequence[Row],
    *,
    among: Collection[str] | None = None,
) -> list[str]:
    """Return what a sound suite would not have let happen, on these requirements or on all."""
    problems = record.false_alarms(rows, precision)
    if precision == PRECISIONS[0]:
        problems += [
            f"not caught: {line}" for row in [*rows, *graphs] for line in record.missed(row, among)
        ]
    return problems + [
        f"survived: {row.name}"
        for row in rows
        if row.mutant
        and not row.mutant.survives  # that it does is known, and why
        and record.fate(row, precision) == record.SURVIVED
    ]


@dataclass(frozen=True, slots=True)
class _Divided:
    """What was found at a precision, divided into what is right and what is wrong."""

    sound: list[Row]
    """The rows without that which is wrong, those of old mutants on new requirements alone."""
    again: Mapping[str, str]
    """What became of touched mutants this time."""
    lost: tuple[str, ...]
    """Touched mutants that are not killed any more as they say."""
    accusing: tuple[str, ...]
    """Requirements whose changed checks fail an honest candidate."""
    problems: tuple[str, ...]


def _divided(precision: str, rows: Sequence[Row], lacking: extension.Missing) -> _Divided:
    """Tell what is right of the rows from what is wrong.

    A new mutant is wrong, or a new requirement: by what became of honest candidates and of older
    mutants. A new mutant whose fate hangs on a requirement that is wrong waits with it.
    """
    fresh = [row for row in rows if row.name in lacking.mutants]
    before = [row for row in rows if row.name not in lacking.mutants]
    older = {name for name in spec.load().requirements if name not in lacking.requirements}
    of_mutants = {row.name: _problems(precision, [row], ()) for row in fresh}
    again = [_on(row, older) for row in before if row.name in lacking.touched]
    of_touched = {row.name: _problems(precision, [row], (), among=older) for row in again}
    of_requirements = {
        name: _problems_of_new(precision, [_on(row, [name]) for row in before], name)
        for name in lacking.requirements
    }
    right = {name for name in spec.load().requirements if not of_requirements.get(name)}
    waiting = {
        row.name
        for row in fresh
        if of_mutants[row.name]
        or record.fate(_on(row, right), precision) != record.fate(row, precision)
    }
    honest = [row for row in before if row.mutant is None]
    of_changed = {
        name: record.false_alarms([_on(row, [name]) for row in honest], precision)
        for name in lacking.changed
    }
    every = (of_mutants, of_touched, of_requirements, of_changed)
    return _Divided(
        sound=[_on(row, right) for row in fresh if row.name not in waiting]
        + [_on(row, right - older) for row in before],
        again={r.name: record.fate(r, precision) for r in again if not of_touched[r.name]},
        lost=tuple(name for name, lines in of_touched.items() if lines),
        accusing=tuple(name for name, lines in of_changed.items() if lines),
        problems=tuple(line for found in every for lines in found.values() for line in lines),
    )


def _on(row: Row, requirements: Collection[str]) -> Row:
    """Return a row with the cells of some requirements alone."""
    cells = tuple(cell for cell in row.cells if cell.requirement in requirements)
    return Row(row.name, row.mutant, cells)


def _problems_of_new(precision: str, rows: Sequence[Row], requirement: str) -> list[str]:
    """Return what is wrong with a new requirement: whom it fails, and whom it does not."""
    problems = record.false_alarms(rows, precision)
    if precision == PRECISIONS[0]:
        missed = (line for row in rows for line in record.missed(row, [requirement]))
        problems += [f"not caught: {line}" for line in missed]
    return problems


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # of minutes, the user sees each step
