"""What the main job costs: wall time, the candidate's own share, and memory.

    python tests/benchmarks/decoder_profile.py [CANDIDATE ...]

Runs profile `decoder` twice for each candidate, so that the second run finds its packages cached,
and prints a table of the second. A measurement, not a test: it asserts nothing.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from conformance.run_folder import RunFolder

PROGRAM = [sys.executable, "-m", "conformance"]


def timed(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([*PROGRAM, *arguments], check=False, capture_output=True)
    return time.perf_counter() - start


def run(candidate: str) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("run", "--candidate", candidate, "--seed", "1", "--out", folder)
        timed(*arguments)
        wall = timed(*arguments)
        report = RunFolder(Path(folder)).read()
    cases = [case for result in report.requirements for case in result.cases]
    own = sum(case.candidate_seconds for case in cases)
    oracle = sum(case.oracle_seconds for case in cases)
    checks = sum(case.duration for case in cases)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    seconds = (f"{taken:.1f}" for taken in (wall, checks, own, oracle))
    return (candidate, report.outcome, *seconds, f"{peak:.0f}")


def main() -> None:
    heads = (
        "candidate",
        "outcome",
        "wall s",
        "checks s",
        "candidate s",
        "oracle s",
        "peak MiB so far",
    )
    print(tabulate([run(c) for c in sys.argv[1:] or ["onnxruntime"]], heads))
    print(f"\nlist requirements: {min(timed('list', 'requirements') for _ in range(3)):.2f} s")


if __name__ == "__main__":
    main()
