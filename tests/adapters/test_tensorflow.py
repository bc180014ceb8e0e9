"""What only the TensorFlow adapter has: modes, types, traces, and a decoder of its own."""

from __future__ import annotations

import logging

import ml_dtypes
import numpy as np
import pytest

from conformance import matrix
from conformance.adapters import _tensorflow, reference, tensorflow
from conformance.errors import CandidateUnavailable, Unsupported
from conformance.package import open_package
from conformance.records import OperatorCall
from reference_model.package import write_package
from reference_model.zoo import MODELS

MODE_NAMES = ("function", "eager", "xla")
IDS = np.random.default_rng(0).integers(0, 512, (2, 9), dtype=np.int64)
BATCH = (IDS, np.ones_like(IDS), np.broadcast_to(np.arange(9), IDS.shape))
TOKENS = np.random.default_rng(2).integers(0, 512, (2, 40), dtype=np.int64)
LONGER = (TOKENS, np.ones_like(TOKENS), np.broadcast_to(np.arange(40), TOKENS.shape))
"""Longer than the suite's windows."""
SUBNORMAL = np.float32(1e-39)


def largest_error(observed, expected):
    return np.abs(observed.astype(np.float64) - expected).max()


@pytest.mark.parametrize(
    ("dtype", "precision"), [("float32", "fp32"), ("float16", "fp16"), ("bfloat16", "bf16")]
)
def test_the_type_is_the_claim_and_the_type_of_every_answer(package, dtype, precision):
    with tensorflow.open("cpu", {"dtype": dtype}) as candidate:
        assert candidate.info.claims.precision == precision
        model = candidate.load(package)
        answers = [model.logits(*BATCH), model.start(2).append(*BATCH)]
        answers += model.hidden_states(*BATCH).values()
    assert {answer.dtype for answer in answers} == {np.dtype(getattr(ml_dtypes, dtype, dtype))}


def test_wider_types_are_nearer_to_float64(package):
    with reference.open("", {}) as oracle:
        truth = oracle.load(package).logits(*BATCH)
    errors = {}
    for dtype in ("float32", "float16", "bfloat16"):
        with tensorflow.open("cpu", {"dtype": dtype}) as candidate:
            errors[dtype] = largest_error(candidate.load(package).logits(*BATCH), truth)
    assert 0 < errors["float32"] < errors["float16"] / 100
    assert errors["float16"] < errors["bfloat16"]


@pytest.mark.parametrize("name", [n for n in MODELS if n not in matrix.unbuilt("tensorflow")])
def test_its_decoder_is_the_oracles_on_every_model_of_the_suite(name, tmp_path):
    write_package(MODELS[name], tmp_path / name)
    package = open_package(tmp_path / name)
    tokens, mask, positions = LONGER
    inputs = tokens % MODELS[name].config.vocab, mask, positions
    with reference.open("", {}) as oracle, tensorflow.open("", {}) as candidate:
        expected = oracle.load(package).logits(*inputs)
        assert largest_error(candidate.load(package).logits(*inputs), expected) < 1e-4


@pytest.mark.parametrize("name", matrix.unbuilt("tensorflow"))
def test_a_family_that_is_not_built_is_refused(name, tmp_path):
    write_package(MODELS[name], tmp_path / name)
    with tensorflow.open("", {}) as candidate, pytest.raises(Unsupported, match="built are llama"):
        candidate.load(open_package(tmp_path / name))


@pytest.mark.parametrize("mode", MODE_NAMES)
def test_each_mode_says_its_name_and_answers_logits_steps_and_operators(package, mode):
    with reference.open("", {}) as oracle, tensorflow.open("", {"mode": mode}) as candidate:
        assert candidate.info.runtime.endswith(_tensorflow.MODES[mode])
        expected = oracle.load(package).logits(*BATCH)
        model = candidate.load(package)
        session = model.start(2)
        first = session.append(*(array[:, :4] for array in BATCH))
        rest = session.append(BATCH[0][:, 4:], BATCH[1], BATCH[2][:, 4:])
        for observed in (model.logits(*BATCH), np.concatenate([first, rest], axis=1)):
            assert largest_error(observed, expected) < 1e-4
        x = np.array([[0.0, np.log(3.0)]], np.float32)
        shares = candidate.operator(OperatorCall("Softmax", 13, {"input": x}, {}, ("output",)))
        assert largest_error(shares["output"], [[0.25, 0.75]]) < 1e-6


def test_one_trace_of_the_decoder_serves_every_batch_and_length(package):
    with tensorflow.open("", {}) as candidate:
        model = candidate.load(package)
        for rows, length in ((1, 1), (2, 5), (2, 9)):
            model.logits(*(array[:rows, :length] for array in BATCH))
        session = model.start(1)
        for i in range(3):
            session.append(IDS[:1, i : i + 1], np.ones((1, i + 1), np.int64), np.array([[i]]))
        assert model._forward.experimental_get_tracing_count() == 1


def test_one_trace_of_an_operator_serves_every_size():
    with tensorflow.open("", {}) as candidate:
        for shape in ((1, 1), (3, 7), (5, 2)):
            x = np.ones(shape, np.float32)
            candidate.operator(OperatorCall("Softmax", 13, {"input": x}, {}, ("output",)))
        (traced,) = candidate._operators._traced.values()
        assert traced.experimental_get_tracing_count() == 1


def test_subnormals_become_zero_in_tensorflow_as_claimed_and_nowhere_else():
    half = np.array([0.5], np.float32)
    call = OperatorCall("Mul", 14, {"A": SUBNORMAL[None], "B": half}, {}, ("C",))
    with tensorflow.open("", {}) as candidate:
        assert candidate.info.claims.contract["flush_to_zero"] is True
        assert candidate.operator(call)["C"] == 0
        assert SUBNORMAL * half > 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sigmoid_is_not_claimed_in_16_bits_where_it_is_off_by_nearly_two_roundings(dtype):
    x = np.arange(-2.5, 2.5, 1 / 64).astype(getattr(ml_dtypes, dtype, dtype))
    expected = 1 / (1 + np.exp(-x.astype(np.float64)))
    with tensorflow.open("", {"dtype": dtype}) as candidate:
        assert "Sigmoid" not in candidate.info.claims.operators
        observed = candidate.operator(OperatorCall("Sigmoid", 13, {"X": x}))["Y"]
    rounding = float(ml_dtypes.finfo(x.dtype).eps) / 2
    assert (np.abs(observed.astype(np.float64) - expected) / expected).max() > 1.9 * rounding


def test_settings_of_tensorflow_come_back():
    settings, log = _tensorflow.tf().config.experimental, logging.getLogger("tensorflow")
    before = settings.tensor_float_32_execution_enabled(), log.level
    with tensorflow.open("", {}):
        assert not settings.tensor_float_32_execution_enabled()
        assert log.level == logging.ERROR
    assert (settings.tensor_float_32_execution_enabled(), log.level) == before


def test_the_users_word_on_onednn_stands_in_the_runtimes_name(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    with tensorflow.open("", {}) as candidate:
        assert candidate.info.runtime.endswith(", TF_ENABLE_ONEDNN_OPTS=0")


@pytest.mark.parametrize("target", ["gpu", "gpu:1"])
def test_an_absent_gpu_is_unavailable_and_says_what_to_do(target):
    if _tensorflow.tf().config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    with (
        pytest.raises(CandidateUnavailable, match=rf"{target}'.*test the target cpu"),
        tensorflow.open(target, {}),
    ):
        pass


def test_a_second_gpu_that_is_absent_is_unavailable(monkeypatch):
    config = _tensorflow.tf().config
    monkeypatch.setattr(config, "list_logical_devices", lambda kind: [f"the first {kind}"])
    with pytest.raises(CandidateUnavailable, match="finds 1 GPUs"):
        _tensorflow.device("gpu:1")
    assert _tensorflow.device("gpu:0") == _tensorflow.device("gpu") == "the first GPU"
    for target in ("gpu:", "gpu:x", "cuda"):
        with pytest.raises(CandidateUnavailable, match="unknown device"):
            _tensorflow.device(target)


def test_what_is_not_wired_is_unsupported_and_never_passed_over():
    x = np.ones((1, 1, 2, 4), np.float32)
    inputs = {"Q": x, "K": x, "V": x}
    with tensorflow.open("cpu", {}) as candidate:
        for call in (
            OperatorCall("Attention", 23, inputs, {"softmax_precision": 1}),
            OperatorCall("Softmax", 13, {"input": np.zeros(2, "datetime64[s]")}, {}, ("output",)),
            OperatorCall("RotaryPhases", 23, {"position_ids": x}, {"scaling": "nonesuch"}),
        ):
            with pytest.raises(Unsupported, match=r"softmax_precision|datetime64|nonesuch"):
                candidate.operator(call)
