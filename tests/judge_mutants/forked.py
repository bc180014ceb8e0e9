"""Run pytest in many folders, each time in a process that starts with the libraries imported.

Reads ``{name: [folder, argument, ...]}`` from standard input and writes ``{name: [code, words]}``.
Most of a small test run is the import of the same libraries: a fork has them already, and imports
the package under test itself, from its own folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import hypothesis.strategies  # noqa: F401  # imported for the forks
import jsonschema  # noqa: F401  # the same
import ml_dtypes  # noqa: F401  # the same
import pytest
import tabulate  # noqa: F401  # the same

PROCESSES = 2
SAID = "said.txt"


def start(folder: str, arguments: list[str]) -> int:
    """Start pytest in a folder; return the process id."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.chdir(folder)
        sys.path.insert(0, folder)
        with Path(SAID).open("wb") as said:
            for stream in (1, 2):
                os.dup2(said.fileno(), stream)
        code = int(pytest.main(arguments))
        sys.stdout.flush()
    finally:
        os._exit(code)


def main() -> None:
    """Run all jobs, a few at a time."""
    jobs = json.load(sys.stdin)
    waiting, running, codes = list(jobs), {}, {}
    while waiting or running:
        if waiting and len(running) < PROCESSES:
            name = waiting.pop(0)
            running[start(jobs[name][0], jobs[name][1:])] = name
            continue
        child, status = os.wait()
        codes[running.pop(child)] = os.waitstatus_to_exitcode(status)
    said = {name: Path(job[0], SAID).read_text(encoding="utf-8") for name, job in jobs.items()}
    json.dump({name: [code, said[name]] for name, code in codes.items()}, sys.stdout)


if __name__ == "__main__":
    main()
