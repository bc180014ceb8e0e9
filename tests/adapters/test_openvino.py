"""What only the OpenVINO adapter has: precision hints, fixed sizes, and types that NumPy lacks."""

from __future__ import annotations

import subprocess
import sys

import ml_dtypes
import numpy as np
import onnx
import pytest

from conformance.adapters import _onnx_graphs
from conformance.adapters import openvino as adapter
from conformance.errors import CandidateUnavailable, Unsupported
from conformance.records import OperatorCall


def softmax_of(x):
    return OperatorCall("Softmax", 13, {"input": x}, {"axis": -1}, ("output",))


@pytest.fixture
def candidate():
    with adapter.open("CPU", {"precision": "f32", "threads": "1"}) as opened:
        yield opened


@pytest.mark.parametrize(
    ("precision", "claim", "output"),
    [
        ("default", "fp32", np.float32),
        ("f32", "fp32", np.float32),
        ("bf16", "bf16", ml_dtypes.bfloat16),
        ("f16", "fp16", np.float16),
    ],
)
def test_what_is_asked_for_is_claimed_and_answered(precision, claim, output, package):
    ids = np.array([[1, 2, 3]])
    with adapter.open("", {"precision": precision, "threads": "1"}) as opened:
        assert opened.info.claims.precision == claim
        model = opened.load(package)
        logits = model.logits(ids, np.ones_like(ids), np.arange(3)[None])
        stepped = model.start(1).append(ids, np.ones_like(ids), np.arange(3)[None])
    assert logits.dtype == stepped.dtype == output
    assert np.isfinite(logits.astype(np.float64)).all()


def test_without_a_word_on_precision_the_claim_is_that_of_the_graph():
    with adapter.open("", {}) as opened:
        assert opened.info.claims.precision == "fp32"


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("GPU.17", {}, "has no device 'GPU.17' here"),
        ("", {"precision": "fp32"}, "Did you mean 'f32'"),
        ("", {"threads": "many"}, "threads='many' is not a number"),
    ],
)
def test_bad_options_and_devices_are_unavailable(target, options, words):
    with pytest.raises(CandidateUnavailable, match=words), adapter.open(target, options):
        pass


def test_info_names_version_and_hardware(candidate):
    assert candidate.info.version in candidate.info.runtime
    assert "CPU, " in candidate.info.runtime


def test_a_graph_of_fixed_sizes_names_them_and_leaves_an_empty_axis_free():
    call = softmax_of(np.ones((0, 3), np.float32))
    model = onnx.load_from_string(_onnx_graphs.graph(_onnx_graphs.node_of(call, fixed=True)))
    rows, columns = model.graph.input[0].type.tensor_type.shape.dim
    assert (rows.dim_param, columns.dim_value) == ("input_0", 3)


def test_no_indices_look_nothing_up(candidate):
    inputs = {"data": np.ones((4, 3), np.float32), "indices": np.zeros((1, 0), np.int64)}
    call = OperatorCall("Gather", 13, inputs, {"axis": 0}, ("output",))
    assert candidate.operator(call)["output"].shape == (1, 0, 3)


def test_a_scalar_stays_one(candidate):
    inputs = {
        "A": np.ones((2, 2), np.uint8),
        "B": np.ones((2, 2), np.uint8),
        "a_zero_point": np.array(1, np.uint8),
    }
    call = OperatorCall("MatMulInteger", 10, inputs, {}, ("Y",))
    assert not candidate.operator(call)["Y"].any()


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_numbers_of_types_that_numpy_lacks_go_in_and_come_out_as_they_are(kind):
    numbers = np.array([[0.5, -2.0, 1.5]]).astype(getattr(ml_dtypes, kind))
    back = adapter._array(adapter._tensor(numbers))
    assert back.dtype == numbers.dtype
    assert np.array_equal(back, numbers)


def test_answers_are_not_overwritten_by_the_next_call(candidate):
    first = candidate.operator(softmax_of(np.array([[0, 0]], np.float32)))["output"]
    candidate.operator(softmax_of(np.array([[0, 99]], np.float32)))
    assert first.tolist() == [[0.5, 0.5]]


def test_what_openvino_cannot_compile_is_unsupported(candidate):
    scores = np.zeros((1, 1, 3, 2), np.float32)
    inputs = {"Q": scores, "K": scores, "V": scores, "attn_mask": np.ones((3, 2), bool)}
    call = OperatorCall("Attention", 23, inputs, {}, ("Y",))
    with pytest.raises(Unsupported, match="OpenVINO cannot compile Attention"):
        candidate.operator(call)


FREED_ELSEWHERE = """
import signal, threading
from conformance.candidate import open_candidate

with open_candidate("openvino") as candidate:
    held = [candidate]
    del candidate
dropped = threading.Thread(target=held.clear)
dropped.start()
dropped.join()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="the plug-in sets a signal stack on Linux alone"
)
def test_ctrl_c_still_works_where_another_thread_has_freed_the_runtime():
    done = subprocess.run(
        [sys.executable, "-c", FREED_ELSEWHERE],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
