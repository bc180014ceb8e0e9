"""What tests of real runs share: a tiny model folder, and the command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# The tests' models are tiny: a second thread of NumPy's would only wait and spin. NumPy reads this
# when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_FOREIGN = ("PYTEST_", "HYPOTHESIS_")
COMMAND = [sys.executable, "-m", "conformance"]


@dataclass(frozen=True)
class Ended:
    """A process that has ended, and the run folder that it left."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def report(self):
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))

    @property
    def has_report(self):
        return (self.folder / "report.json").exists()

    def cases(self):
        """Return the verdict of each case by its id."""
        rows = self.report["requirements"]
        return {case["id"]: case["verdict"] for row in rows for case in row["cases"]}

    def case(self, start):
        """Return the first case whose id begins so."""
        rows = self.report["requirements"]
        return next(c for row in rows for c in row["cases"] if c["id"].startswith(start))


def pytest_terminal_summary(terminalreporter):
    """Say what tests tell of themselves, such as what they have left out."""
    for report in terminalreporter.getreports("passed"):
        for name, line in report.user_properties:
            if name == "told":
                terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    """Exports and noise units: the user's own cache folder if one is named, else a new one."""
    return os.environ.get("LLM_CONFORMANCE_CACHE") or str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def environment(cache_folder):
    """An environment without the settings of the pytest that runs these tests."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    return {**own, "LLM_CONFORMANCE_CACHE": cache_folder, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A Llama folder so small that profile ``release`` takes three seconds."""
    with warnings.catch_warnings(action="ignore"):
        from reference_model import config, package, weights, zoo  # noqa: PLC0415  # slow

    made = config.ModelConfig(
        vocab=32,
        dim=16,
        layers=1,
        attention=config.Attention(heads=2, kv_heads=1, head_dim=8),
        rope=config.Rope(theta=10000.0),
        norm=config.Norm(eps=1e-5),
        mlp=config.Mlp(hidden=16),
        tied=False,
        max_positions=128,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    package.write_package(zoo.SuiteModel("tiny", "", made, 1, "", weights.Design()), folder)
    return folder


@pytest.fixture
def llm(tmp_path, environment):
    """Run ``llm-conformance`` in an empty folder and wait for its end."""

    def call(*words, env=None, folder="run", timeout=300):
        out = tmp_path / folder
        command = [*COMMAND, *map(str, words)]
        if words[0] == "run" and "--out" not in words:
            command += ["--out", str(out)]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr, out)

    return call


@pytest.fixture(scope="session")
def ended_at():
    """Make the record of a process that a test has started by itself."""

    def ended(code, out, folder):
        return Ended(code, out, "", folder)

    return ended
