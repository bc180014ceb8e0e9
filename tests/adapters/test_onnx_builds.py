"""Builds of a package other than ``model.onnx``: which file is loaded, and what is said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from conformance.adapters import _onnx_builds, onnx_reference, onnxruntime
from conformance.candidate import choose
from conformance.errors import CandidateUnavailable, Unsupported
from conformance.subject import _build
from reference_model.builds import BUILDS

IDS = np.array([[5, 9, 9, 2], [1, 3, 8, 8]])
TOKENS = (IDS, np.ones_like(IDS), np.tile(np.arange(4), (2, 1)))


def file_of(**options):
    allowed = {"dtype": ("float32", "float16", "bfloat16", "float64"), **_onnx_builds.options()}
    return _onnx_builds.file_of(choose(options, allowed))


def test_options_name_the_file_of_a_build():
    assert file_of() == "model.onnx"
    assert file_of(dtype="float16") == "model_fp16.onnx"
    assert file_of(build="opset24", data="external") == "model_opset24_external.onnx"
    assert file_of(build="opset25", dtype="bfloat16") == "model_opset25_bf16.onnx"
    with pytest.raises(Unsupported, match="no ONNX build in float64"):
        file_of(dtype="float64")


def test_every_build_can_be_asked_for_and_no_other():
    named = {
        file_of(build=build, dtype=dtype, data=data)
        for build in _onnx_builds.options()["build"]
        for data in _onnx_builds.options()["data"]
        for dtype in ("float32", "float16", "bfloat16")
    }
    assert named == set(BUILDS)


def test_an_unknown_build_is_answered_with_the_nearest():
    with (
        pytest.raises(CandidateUnavailable, match="Did you mean 'opset25'"),
        onnxruntime.open("", {"build": "opset52"}),
    ):
        pass


def test_a_report_names_the_builds_that_the_suite_made():
    assert _build(set()) == "supplied"
    assert _build({"model.onnx"}) == "exported by the suite: opset 20, float32"
    assert _build({"model_opset24_fp16_external.onnx"}) == (
        "exported by the suite: opset 24, float16, external data"
    )


@pytest.mark.parametrize("adapter", [onnxruntime, onnx_reference])
def test_a_newer_opset_in_half_precision_answers_near_the_default(adapter, package):
    answers = []
    for options in ({}, {"build": "opset24", "dtype": "float16"}):
        with adapter.open("", options) as candidate:
            answers.append(candidate.load(package).logits(*TOKENS))
    assert [y.dtype.name for y in answers] == ["float32", "float16"]
    wide, narrow = (y.astype(np.float64) for y in answers)
    assert 0 < np.abs(narrow - wide).max() < 0.02 * np.abs(wide).max()


def test_what_a_runtime_has_no_kernel_for_is_refused_by_its_name(package):
    with onnxruntime.open("", {"dtype": "bfloat16"}) as candidate:
        assert "logits" not in candidate.info.claims.capabilities
        with pytest.raises(Unsupported, match=r"model_bf16\.onnx.*implementation for Mul"):
            candidate.load(package)


def test_the_evaluator_runs_bfloat16(package):
    with onnx_reference.open("", {"dtype": "bfloat16"}) as candidate:
        logits = candidate.load(package).logits(*TOKENS)
    assert logits.dtype.name == "bfloat16"
    assert np.isfinite(logits.astype(np.float32)).all()


def test_a_build_that_the_package_supplies_is_not_made(tmp_path):
    asked = []
    package = SimpleNamespace(config={}, file=lambda name: asked.append(name) or tmp_path / name)
    with (
        onnxruntime.open("", {"build": "opset24"}) as candidate,
        pytest.raises(Exception, match="doesn't exist"),
    ):
        candidate.load(package)
    assert asked == ["model_opset24.onnx"]
