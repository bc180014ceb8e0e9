"""Who may import whom, and why. Read off the source, so that lazy imports count where they must."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STANDARD = sys.stdlib_module_names | {"__future__"}

ALLOWED = {
    # module or folder: (what it may import beside the standard library, why)
    "conformance/records": (
        ("conformance.records",),
        "records cross every line, so they depend on nothing",
    ),
    "conformance/errors.py": (("conformance.records",), "errors are raised everywhere"),
    "conformance/verdicts.py": (
        ("conformance.records", "conformance.errors"),
        "the decision table can be read and tested without anything else",
    ),
    "conformance/fingerprint.py": ((), "the judge says it and reports draw it"),
    "conformance/evidence.py": (
        ("conformance.records",),
        "judges write to it in processes that have no pytest",
    ),
    "conformance/schema": (
        (
            "conformance.errors",
            "conformance.schema",
            "conformance._schemas",
            "jsonschema",
            "referencing",
        ),
        "documents are validated where nothing is run",
    ),
    "conformance/spec": (
        ("conformance.records", "conformance.errors", "conformance.schema"),
        "the standard is data",
    ),
    "conformance/precision.py": (
        ("numpy", "ml_dtypes", "conformance.records"),
        "bounds are arithmetic",
    ),
    "conformance/oracles": (
        (
            "numpy",
            "ml_dtypes",
            "conformance.records",
            "conformance.errors",
            "conformance.precision",
            "conformance.oracles",
        ),
        "oracles are the judge's truth: independent of torch and of the reference model",
    ),
    "conformance/constants": (
        (
            "numpy",
            "onnx",
            "conformance.constants",
            "conformance.errors",
            "conformance.precision",
        ),
        "what a file holds is read without a runtime",
    ),
    "conformance/judge": (
        (
            "numpy",
            "scipy",
            "conformance.judge",
            "conformance.evidence",
            "conformance.precision",
            "conformance.fingerprint",
            "conformance.schema",
            "conformance.errors",
            "conformance.records",
            "conformance.oracles",
            "conformance.faults",  # a type only
        ),
        "a verifier judges again without running anything",
    ),
    "conformance/report": (
        (
            "tabulate",
            "jinja2",
            "conformance.records",
            "conformance.errors",
            "conformance.schema",
            "conformance.fingerprint",
            "conformance.formats",
            "conformance.verdicts",
            "conformance.report",
        ),
        "reports are rendered on machines without torch and pytest",
    ),
    "conformance/plugin.py": (
        ("pytest", "conformance.session"),
        "every pytest run on a machine imports it: at module level it imports pytest alone",
    ),
    "conformance/checks": (
        (
            "pytest",
            "numpy",
            "conformance.checks",
            "conformance.checked",
            "conformance.constants",
            "conformance.faults",
            "conformance.inputs",
            "conformance.judge",
            "conformance.models",
            "conformance.package",
            "conformance.records",
            "conformance.oracles",
            "conformance.spec",
        ),
        "checks know no adapter, no report and no plugin",
    ),
}


def imports(file: Path) -> set[str]:
    """Return the dotted names of all modules that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            found |= {
                name if _is_module(name := f"{node.module}.{alias.name}") else node.module
                for alias in node.names
            }
    return found


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or path.is_dir()


def files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("place", ALLOWED)
def test_a_part_imports_only_what_it_may(place):
    allowed, why = ALLOWED[place]
    for file in files(place):
        for name in sorted(imports(file)):
            known = name.partition(".")[0] in STANDARD or any(
                name == one or name.startswith(f"{one}.") for one in allowed
            )
            assert known, f"{file.relative_to(ROOT)} imports {name}: {why}"


def test_the_reference_model_imports_nothing_of_the_suite():
    for file in files("reference_model"):
        assert not {n for n in imports(file) if n.startswith("conformance")}, file


def test_hypothesis_is_known_to_inputs_and_session_alone():
    users = {
        file.relative_to(ROOT).as_posix()
        for file in files("conformance")
        if any(name.partition(".")[0] == "hypothesis" for name in imports(file))
    }
    elsewhere = {user for user in users if not user.startswith("conformance/inputs/")}
    assert elsewhere <= {"conformance/session.py"}


def test_adapters_import_their_runtimes_inside_functions():
    runtimes = {"torch", "onnxruntime", "transformers", "onnx", "openvino", "jax", "tensorflow"}
    runtimes |= {"tokenizers"}
    for file in files("conformance/adapters"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]}
            else:
                continue
            assert not names & runtimes, f"{file} imports {names & runtimes} at module level"


def test_no_check_passes_a_number_to_a_judge():
    for file in files("conformance/checks"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("judge."):
                numbers = [
                    a
                    for a in ast.walk(node)
                    if isinstance(a, ast.Constant) and type(a.value) is float
                ]
                assert not numbers, f"{file}:{node.lineno}: limits come from the judge"


def test_files_and_functions_stay_readable():
    for place in ("conformance", "reference_model"):
        for file in files(place):
            text = file.read_text(encoding="utf-8")
            assert text.count("\n") <= 400, f"{file}: {text.count(chr(10))} lines"
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    size = (node.end_lineno or 0) - node.lineno + 1
                    assert size <= 60, f"{file}: {node.name} has {size} lines"
