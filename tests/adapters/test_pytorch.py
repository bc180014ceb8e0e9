"""What only the PyTorch adapter has: types, the compiler, devices."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch

from conformance.adapters import _torch, _torch_operators, pytorch
from conformance.errors import CandidateUnavailable, Unsupported
from conformance.records import OperatorCall

IDS = np.random.default_rng(0).integers(0, 512, (2, 9), dtype=np.int64)
BATCH = (IDS, np.ones_like(IDS), np.broadcast_to(np.arange(9), IDS.shape))


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [("float32", "fp32"), ("float64", "fp64"), ("float16", "fp16"), ("bfloat16", "bf16")],
)
def test_the_type_is_the_claim_and_the_type_of_the_logits(package, dtype, precision):
    with pytorch.open("cpu", {"dtype": dtype}) as candidate:
        assert candidate.info.claims.precision == precision
        model = candidate.load(package)
        logits = model.logits(*BATCH)
        step = model.start(2).append(*BATCH)
    assert logits.dtype == step.dtype == np.dtype(getattr(ml_dtypes, dtype, dtype))


def test_wider_types_are_nearer_to_float64(package):
    answers = {}
    for dtype in ("float64", "float32", "float16", "bfloat16"):
        with pytorch.open("cpu", {"dtype": dtype}) as candidate:
            answers[dtype] = candidate.load(package).logits(*BATCH).astype(np.float64)
    errors = {d: np.abs(answers[d] - answers["float64"]).max() for d in answers}
    assert 0 < errors["float32"] < errors["float16"] / 100
    assert errors["float16"] < errors["bfloat16"]


compile_ = torch.compile


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler, about itself
def test_compiled_logits_and_a_compiled_step_are_near_the_eager_ones(package):
    with pytorch.open("cpu", {}) as eager, pytorch.open("cpu", {"compile": "true"}) as compiled:
        expected = eager.load(package).logits(*BATCH)
        model = compiled.load(package)
        assert "compiled" in compiled.info.runtime
        step = model.start(2).append(*BATCH)
        for observed in (model.logits(*BATCH), step):
            assert np.abs(observed - expected).max() < 1e-4
        shorter = model.logits(*(array[:, :4] for array in BATCH))
        assert np.abs(shorter - expected[:, :4]).max() < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler, about itself
def test_operators_are_compiled_once_for_all_sizes_and_anew_for_other_attributes(monkeypatch):
    made = []
    monkeypatch.setattr(
        torch, "compile", lambda f, **options: made.append((f, options)) or compile_(f, **options)
    )
    monkeypatch.setattr(_torch_operators, "_compiled", _torch_operators._compiled.__wrapped__)
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)
    with pytorch.open("cpu", {"compile": "true"}) as compiled, pytorch.open("cpu", {}) as eager:
        for array, axis in ((x, -1), (x[:3], -1), (x, 0)):
            call = OperatorCall("Softmax", 13, {"input": array}, {"axis": axis}, ("output",))
            answers = [one.operator(call)["output"] for one in (compiled, eager)]
            np.testing.assert_allclose(*answers, rtol=1e-6)
    assert len(made) == 3
    assert {options["dynamic"] for _, options in made} == {True}


def test_settings_of_torch_come_back():
    torch.set_float32_matmul_precision("high")
    try:
        with pytorch.open("cpu", {}):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("target", ["cuda", "cuda:1"])
def test_an_absent_cuda_device_is_unavailable(target):
    with (
        pytest.raises(CandidateUnavailable, match=r"CUDA.*test the target cpu"),
        pytorch.open(target, {}),
    ):
        pass


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_logits_on_cuda_are_near_those_on_the_cpu(package):
    with pytorch.open("cuda", {}) as cuda, pytorch.open("cpu", {}) as cpu:
        assert cuda.info.device == torch.cuda.get_device_name()
        expected = cpu.load(package).logits(*BATCH)
        model = cuda.load(package)
        session = model.start(2)
        for observed in (model.logits(*BATCH), session.append(*BATCH)):
            assert np.abs(observed - expected).max() < 1e-4


def test_a_second_gpu_that_is_absent_is_unavailable(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(CandidateUnavailable, match="there are 1 CUDA devices"):
        _torch.device("cuda:1")
    assert str(_torch.device("cuda:0")) == "cuda:0"
    for target in ("cuda:", "cuda:x", "mps"):
        with pytest.raises(CandidateUnavailable, match="unknown device"):
            _torch.device(target)


def test_what_torch_has_not_is_unsupported_and_never_passed_over():
    x = np.ones((1, 1, 2, 4), np.float32)
    inputs = {"Q": x, "K": x, "V": x}
    with pytorch.open("cpu", {}) as candidate:
        for call in (
            OperatorCall("Attention", 23, inputs, {"softmax_precision": 1}),
            OperatorCall("Attention", 23, inputs, {}, ("Y", "qk_matmul_output")),
            OperatorCall("Softmax", 13, {"input": x.astype(ml_dtypes.float8_e5m2)}),
        ):
            with pytest.raises(Unsupported, match=r"softmax_precision|qk_matmul|[Ff]loat8"):
                candidate.operator(call)


def test_a_short_mask_hides_the_keys_that_it_does_not_name():
    q, k, v = (np.random.default_rng(i).standard_normal((1, 1, 3, 4)) for i in range(3))
    mask = np.ones((3, 2), bool)
    with pytorch.open("cpu", {}) as candidate:
        short = OperatorCall("Attention", 24, {"Q": q, "K": k, "V": v, "attn_mask": mask})
        cut = OperatorCall("Attention", 24, {"Q": q, "K": k[:, :, :2], "V": v[:, :, :2]})
        difference = candidate.operator(short)["Y"] - candidate.operator(cut)["Y"]
    assert np.abs(difference).max() < 1e-12
