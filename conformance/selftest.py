"""The suite tries itself on the user's machine: does it still tell wrong from right here?

The quick trial passes an honest candidate and fails a fixed choice of mutants, one for each
requirement; its result is kept by the suite's digest and the environment. The whole matrix tries
every mutant at every precision, and is what the score is taken from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import identity, matrix, models, mutants, schema
from conformance.matrix import page, record
from conformance.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conformance.matrix import Row

PRECISIONS = ("fp32", "fp16", "bf16")


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
    problems = [f"honest candidate failed: {line}" for line in record.false_alarms(rows)]
    problems += [f"not caught: {line}" for row in rows for line in missed(row)]
    tried = sum(row.mutant is not None for row in rows)
    lines = problems or [f"passed an honest candidate and caught {tried} of {tried} mutants"]
    trial = Trial(not problems, tuple(lines))
    document = {"passed": trial.passed, "lines": list(trial.lines), "suite": identity.suite()}
    models.write_atomically(kept_in(), json.dumps(document, indent=2).encode())
    return trial


def kept_in() -> Path:
    """Return the file that holds the last quick result for this suite and this environment."""
    place = json.dumps([identity.suite(), identity.environment()], sort_keys=True)
    name = hashlib.sha256(place.encode()).hexdigest()[:24]
    return models.cache_folder() / "selftest" / f"{name}.json"


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


def whole(
    folder: Path, precisions: Sequence[str] = PRECISIONS, say: Callable[[str], None] = print
) -> Trial:
    """Try every mutant at every precision; write kill-matrix.json and kill-matrix.html.

    Passed where no honest candidate was failed and, at fp32, each mutant was failed by every
    requirement that it names.

    Args:
        folder: where the two files go.
        precisions: names of precision contracts; fp32 has to be among them.
        say: called with a line of progress.
    """
    found: dict[str, list[Row]] = {}
    for precision in precisions:
        honest = matrix.HONEST[precision]
        found[precision] = []
        for row in matrix.rows(precision=precision, honest=honest):
            found[precision].append(row)
            say(f"{precision} {row.name}: {', '.join(row.killed_by) or 'passes'}")
    document = record.document(found)
    schema.validate("kill-matrix", json.loads(schema.dump(document)))
    models.write_atomically(folder / "kill-matrix.json", schema.dump(document))
    models.write_atomically(folder / "kill-matrix.html", page.render(document).encode())
    blunt = [f"not caught: {line}" for row in found["fp32"] for line in missed(row)]
    alarms = [f"{p}: {line}" for p, rows in found.items() for line in record.false_alarms(rows)]
    survivors = [
        f"{p}: {row.name} survived"
        for p, rows in found.items()
        for row in rows
        if row.mutant and record.fate(row, _killed(found["fp32"])) == record.SURVIVED
    ]
    scores = [
        f"{p['precision']}: {p['score']['killed']} of {p['score']['of']} killed"
        for p in document["precisions"]
    ]
    return Trial(not alarms and not blunt, (*alarms, *blunt, *survivors, *scores))


def _killed(rows: Sequence[Row]) -> set[str]:
    return {row.name for row in rows if row.killed_by}
