"""What is known of the suite itself: the score of the last kill matrix, the last self-test here.

Reports quote both, and ``explain`` and the standard's text the smallest fault that a requirement is
known to notice. ``python -m conformance.proof kill-matrix.json`` keeps the summary of a new matrix
in the package; a test fails while mutants or requirements are not those of the summary.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import files, identity, models, schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LINE = 200
"""Characters of a line that reports quote."""
FILE = Path(__file__).with_name("matrix") / "summary.json"


@dataclass(frozen=True, slots=True)
class Noticed:
    """The smallest fault that a requirement was seen to notice at a precision."""

    precision: str
    kills: int
    """How many mutants it failed."""
    mutant: str
    check: str
    observed: float
    unit: str
    limit: float

    def __str__(self) -> str:
        more = f", and {self.kills - 1} larger ones" if self.kills > 1 else ""
        measured = "failed without a number"
        if math.isfinite(self.observed):
            measured = f"{self.observed:.3g} {self.unit}, allowed {self.limit:.3g}"
        return f"{self.precision}: {self.mutant}, {measured} ({self.check}){more}"


def summary(matrix: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a document of schema ``kill-matrix`` what is quoted elsewhere."""
    return {
        "suite": matrix["suite"],
        "sources": matrix.get("sources", {}),
        "precisions": [
            {
                "precision": part["precision"],
                "score": part["score"],
                "fates": part["fates"],
                "honest": [row["name"] for row in part["honest"]],
                "mutants": {row["name"]: row["fate"] for row in part["mutants"]},
                "requirements": part["requirements"],
            }
            for part in matrix["precisions"]
        ],
    }


@functools.cache
def kept() -> dict[str, Any]:
    """Return the summary that came with the suite."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def score(matrix: Mapping[str, Any] | None = None) -> str:
    """Return how many mutants were killed at each precision, in one line.

    Args:
        matrix: a kill matrix or its summary; None for the one that came with the suite.
    """
    parts = (kept() if matrix is None else matrix)["precisions"]
    told = []
    for part in parts:
        killed, of = part["score"]["killed"], part["score"]["of"]
        below = part["fates"]["below the noise"]
        rest = f", {below} below the noise" if below else ""
        told.append(f"{part['precision']}: {killed} of {of} mutants killed{rest}")
    return "; ".join(told)


def noticed(requirement: str) -> list[Noticed]:
    """Return the smallest fault that a requirement notices at each precision where it does."""
    return [
        _noticed(part["precision"], row)
        for part in kept()["precisions"]
        for row in part["requirements"]
        if row["id"] == requirement and row["smallest"] is not None
    ]


def _noticed(precision: str, row: Mapping[str, Any]) -> Noticed:
    smallest = row["smallest"]
    return Noticed(
        precision=precision,
        kills=row["kills"],
        mutant=smallest["mutant"],
        check=smallest["check"],
        observed=float("nan" if smallest["observed"] is None else smallest["observed"]),
        unit=smallest["unit"],
        limit=float("nan" if smallest["limit"] is None else smallest["limit"]),
    )


def keep_selftest(*, passed: bool, lines: Sequence[str]) -> None:
    """Keep the result of a self-test, for this suite and this environment."""
    document = {
        "passed": passed,
        "lines": list(lines),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "suite": identity.suite(),
        "environment": identity.environment(),
    }
    files.write_atomically(selftest_file(), json.dumps(document, indent=2).encode())


def selftest_file() -> Path:
    """Return the file that holds the last self-test of this suite in this environment."""
    place = json.dumps([identity.suite(), identity.environment()], sort_keys=True)
    name = hashlib.sha256(place.encode()).hexdigest()[:24]
    return models.cache_folder() / "selftest" / f"{name}.json"


def selftest() -> str:
    """Return what the last self-test in this environment found, in one line."""
    try:
        found = json.loads(selftest_file().read_text(encoding="utf-8"))
        told = "passed" if found["passed"] else f"failed: {found['lines'][0]}"
        return f"{found['date']}: {told}"[:_LINE]
    except (OSError, ValueError, LookupError, TypeError):
        return "not run in this environment: llm-conformance selftest"


def quoted() -> dict[str, str]:
    """Return the suite's identity with what is known of it, as a report quotes it."""
    return {**identity.suite(), "kill_matrix": score(), "selftest": selftest()}


if __name__ == "__main__":
    FILE.write_bytes(schema.dump(summary(schema.load(Path(sys.argv[1])))))
    print(FILE)  # noqa: T201  # the command's own output
