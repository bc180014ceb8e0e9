"""A project of somebody else's, in which pytest runs the suite's checks beside its own settings."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from conformance import catalogue, spec
from conformance.candidate import open_candidate

CANDIDATES = Path(__file__).parent / "candidates.py"
HONEST = f"{CANDIDATES}:honest"
"""Claims logits and a cache alone: what a run leaves behind depends on no other checks."""


@pytest.fixture
def foreign(tmp_path, environment, tiny):
    """Start ``pytest --pyargs conformance.checks`` on the tiny model, in a folder of the user's."""
    out = tmp_path / "run"

    def start(*words, candidate=HONEST, env=None, target="--pyargs conformance.checks", own=True):
        command = [sys.executable, "-m", "pytest", *target.split()]
        command += [f"--llm-candidate={candidate}", f"--llm-out={out}"]
        command += [f"--llm-model={tiny}"] if own else []
        with (tmp_path / "out.txt").open("wb") as text:
            return subprocess.Popen(
                [*command, *words],
                cwd=tmp_path,
                env={**environment, **(env or {})},
                stdout=text,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    return SimpleNamespace(start=start, out=out, text=tmp_path / "out.txt", folder=tmp_path)


@pytest.fixture
def under_pytest(foreign, ended_at):
    """Run the checks by pytest, and wait."""

    def run(*words, **options):
        code = foreign.start(*words, **options).wait(timeout=300)
        return ended_at(code, foreign.text.read_text(encoding="utf-8"), foreign.out)

    return run


@pytest.fixture(scope="session")
def owed():
    """The cases that profile ``release`` has on the tiny model, for what ``honest`` claims."""
    standard = spec.load()
    with open_candidate(HONEST) as opened:
        claimed = opened.info.claims.capabilities
    listed = (standard.requirements[name] for name in standard.profiles["release"].requirements)
    asked = [one.id for one in listed if set(one.needs) <= claimed]
    checks = [check for name in asked for check in catalogue.deciding(name)]
    return {case for check in checks for case in check.cases(["tiny"])}


@pytest.fixture(scope="session")
def fulfilled(owed):
    """The verdict of each of those cases where everything is right; the candidate is no graph."""
    of_graphs = {
        case
        for name in ("PKG-002", "PKG-003")
        for check in catalogue.deciding(name)
        for case in check.cases(["tiny"])
    }
    return {case: "NOT_APPLICABLE" if case in of_graphs else "PASS" for case in owed}


@pytest.fixture
def candidates():
    """The adapter whose target is the deed."""
    return CANDIDATES


def wait_for(file):
    """Wait until a file exists; fail after a minute."""
    for _ in range(600):
        if file.exists():
            return
        time.sleep(0.1)
    pytest.fail(f"{file} did not appear; there are {list(file.parent.iterdir())}")


@pytest.fixture
def appears():
    return wait_for
