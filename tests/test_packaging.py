"""The wheel is what users have: it works without the checkout, with everything that it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory, cache_folder):
    """Install the wheel beside the dependencies that are here; nothing is downloaded."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home / "env", symlinks=True)
    binaries = home / "env" / "bin"
    site = next((home / "env" / "lib").glob("python*")) / "site-packages"
    pip = [sys.executable, "-m", "pip", "--python", str(binaries / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, cwd=home)
    # Behind the wheel on the path. Path files of that folder, such as the one of an editable
    # install, are not read there: the checkout cannot be imported.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    work = home / "work"
    work.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    env |= {"LLM_CONFORMANCE_CACHE": cache_folder, "OMP_NUM_THREADS": "1"}

    def call(*words, program="llm-conformance"):
        command = [str(binaries / program), *words]
        return subprocess.run(
            command, cwd=work, env=env, capture_output=True, text=True, check=False, timeout=300
        )

    call.work = work
    return call


def test_the_wheel_holds_every_file_that_the_checkout_has(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "conformance", "reference_model", "schemas"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("this is no git checkout")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    wanted = {
        name.replace("schemas/", "conformance/_schemas/", 1) if name.startswith("schemas") else name
        for name in tracked.stdout.split()
        if (ROOT / name).exists()
    }
    assert wanted <= inside
    assert not {name for name in inside if name.startswith(("tests/", "schemas/"))}


def test_the_checkout_is_not_importable(installed):
    where = installed(
        "-c", "import conformance, reference_model as r; print(conformance.__file__, r.__file__)",
        program="python",
    )  # fmt: skip
    assert where.returncode == 0, where.stderr
    assert str(ROOT / "conformance") not in where.stdout
    assert "site-packages" in where.stdout


@pytest.mark.parametrize("kind", ["adapters", "profiles", "requirements", "models", "schemas"])
def test_everything_can_be_listed(installed, kind):
    listed = installed("list", kind)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.strip()


def test_a_plan_is_made(installed):
    planned = installed("plan", "--candidate", "reference")
    assert planned.returncode == 0, planned.stderr
    assert "EMBED-001" in planned.stdout


def test_a_run_is_hermetic_and_leaves_its_report(installed):
    ran = installed("run", "--candidate", "reference", "--only", "EMBED-001", "--out", "run")
    assert ran.returncode == 2, ran.stderr
    report = json.loads((installed.work / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["run"]["hermetic"]
    verdicts = {row["id"]: row["verdict"] for row in report["requirements"]}
    assert verdicts["EMBED-001"] == "PASS"
    assert (installed.work / "run" / "report.html").stat().st_size > 10_000
    assert (installed.work / "run" / "junit.xml").is_file()
    assert sorted(path.name for path in installed.work.iterdir()) == ["run"]


def test_the_checks_run_by_another_projects_pytest(installed):
    ran = installed(
        *("-m", "pytest", "--pyargs", "conformance.checks", "--llm-candidate=reference"),
        *("--llm-only=EMBED-001", "--llm-out=by-pytest"),
        program="python",
    )
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "1 of 1 selected requirements passed" in ran.stdout
