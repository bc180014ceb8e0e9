"""Wrong judges are noticed: each edit of the suite's own source fails the suite's own tests.

The edits stand in the TOML files beside this one. Each is one fault that a judge, a fold, a
decision table or a completeness check may have, some of which well-known suites really had: an
inverted assertion, a mean where the largest error belongs, a comparison that ends with the shorter
side. An edit is applied to a copy of the package, and the few fast tests that it names run on
that copy. To add one is to add a row.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
TESTS_FAILED = 1
"""Pytest's exit code for tests that ran and failed; errors of collection and usage are above."""
UNEDITED = "unedited"
BROKEN = re.compile(
    r"^E +(\w*(?:Name|Attribute|Type|Syntax|Import|UnboundLocal)Error\b.*)", re.MULTILINE
)
"""An edit with one of these is no wrong judge but a broken program."""
GUARD = """
import conformance
from pathlib import Path
assert Path(conformance.__file__).parents[1].samefile(Path.cwd()), conformance.__file__
"""
"""A conftest that lets no test run on any other package than the copy."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One fault: ``old`` stands exactly once in ``file`` and becomes ``new``."""

    name: str
    file: str
    """Relative to the package."""
    old: str
    new: str
    tests: tuple[str, ...]
    """Node ids, relative to the folder of tests, of which at least one fails."""

    def misfit(self, package: Path) -> str:
        """Return why the edit cannot be applied; nothing where it can."""
        found = (package / self.file).read_text(encoding="utf-8").count(self.old)
        if found == 1:
            return ""
        return (
            f"{self.name!r} replaces what stands {found} times in conformance/{self.file} and has "
            f"to stand there once. The code has changed: bring the edit after it.\n{self.old}"
        )

    def apply(self, package: Path) -> None:
        path = package / self.file
        source = path.read_text(encoding="utf-8")
        path.unlink()  # a link to the unedited file, which has to stay as it is
        path.write_text(source.replace(self.old, self.new), encoding="utf-8")


def read_edits() -> list[Edit]:
    tables = [
        tomllib.loads(f.read_text("utf-8")) for f in sorted(Path(__file__).parent.glob("*.toml"))
    ]
    return [
        Edit(**{**row, "tests": tuple(row["tests"])}) for table in tables for row in table["edit"]
    ]


EDITS = read_edits()


def copy(folder: Path) -> Path:
    """Copy the package and the tests into a new folder, where what both need stands as links."""
    ignored = shutil.ignore_patterns(".*")
    shutil.copytree(ROOT / "conformance", folder / "conformance", ignore=ignored)
    for name in ("reference_model", "schemas", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "conftest.py").write_text(GUARD, encoding="utf-8")
    (folder / "tests").mkdir()
    for name in {test.partition("::")[0] for edit in EDITS for test in edit.tests}:
        shutil.copy(ROOT / "tests" / name, folder / "tests")
    (folder / "tests" / "support").symlink_to(ROOT / "tests" / "support")
    return folder


def link(there: Path, here: Path) -> None:
    """Make ``here`` what is there: the package file by file, all else as a whole."""
    if there.name == "conformance":
        shutil.copytree(there, here, copy_function=os.link)
    else:
        here.parent.mkdir(exist_ok=True)
        here.symlink_to(there)


def arguments(tests: Iterable[str]) -> list[str]:
    options = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", "--disable-plugin-autoload"]
    return [*options, "-p", "conformance.plugin", *(f"tests/{test}" for test in tests)]


@pytest.fixture(scope="module")
def ended(request, tmp_path_factory):
    """Run the tests of the edits that were selected; return code and words of each by its name."""
    unedited = copy(tmp_path_factory.mktemp("judge") / "unedited")
    every = sorted({test for edit in EDITS for test in edit.tests})
    jobs = {UNEDITED: [str(unedited), *arguments(every)]}
    ours = [item for item in request.session.items if item.path == request.path]
    selected = [item.callspec.params["edit"] for item in ours if hasattr(item, "callspec")]
    for edit in selected:
        if edit.misfit(unedited / "conformance"):
            continue
        folder = unedited.with_name(f"edit-{EDITS.index(edit)}")
        for beside in unedited.iterdir():
            link(beside, folder / beside.name)
        edit.apply(folder / "conformance")
        jobs[edit.name] = [str(folder), *arguments(edit.tests)]
    foreign = ("PYTEST_", "HYPOTHESIS_", "PYTHON")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("forked.py"))],
        input=json.dumps(jobs),
        env={**own, "CI": "true", "OMP_NUM_THREADS": "1"},  # CI: hypothesis draws no other inputs
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=1200,
    )
    return json.loads(done.stdout)


def test_the_unedited_copy_passes(ended):
    code, said = ended[UNEDITED]
    assert code == 0, said


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_a_wrong_judge_fails_the_tests(edit, ended):
    misfit = edit.misfit(ROOT / "conformance")
    assert not misfit, misfit
    code, said = ended[edit.name]
    assert code == TESTS_FAILED, f"survived, or did not run:\n{said}"
    assert not BROKEN.findall(said), f"this edit breaks the program:\n{said}"


def test_edits_have_names_of_their_own():
    assert len({edit.name for edit in EDITS}) == len(EDITS)
