"""``reports/onnx-vectors.md`` says what is so: which side is wrong where runtime and vector differ.

When a new version of a package changes that, run ``python tests/benchmarks/onnx_vectors.py``.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[2]
_PATH = ROOT / "tests" / "benchmarks" / "onnx_vectors.py"
_SPEC = importlib.util.spec_from_file_location("onnx_vectors", _PATH)
onnx_vectors = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(onnx_vectors)

WRITTEN = onnx_vectors.DOCUMENT.read_text(encoding="utf-8")


ROW = re.compile(r"^\| `(test_\w+)` +\|[^|]+\|[^|]+\| ([\w ]+?) +\|", re.MULTILINE)


def without_figures(text):
    """Return a text without its decimal numbers: the last digits differ between processors."""
    return re.sub(r" +\d+\.\d+ +", " # ", text)


def test_the_document_names_the_side_that_is_wrong():
    written = dict(ROW.findall(WRITTEN))
    assert written == {row.vector.name: row.at_fault for row in onnx_vectors.not_ok()}


def test_the_document_is_what_the_command_writes():
    if WRITTEN.splitlines()[2] not in onnx_vectors.document():
        pytest.skip("written with other versions")
    assert without_figures(onnx_vectors.document()) == without_figures(WRITTEN)


def test_a_vector_that_is_not_ok_has_a_reason():
    for row in onnx_vectors.not_ok():
        assert onnx_vectors.reason(row)


def test_what_runs_as_a_function_body_is_right():
    refused = onnx_vectors.NO_KERNEL, onnx_vectors.OK
    rows = [row for row in onnx_vectors.compared() if row.vector.expanded]
    assert rows
    assert {row.at_fault for row in rows} == set(refused)
