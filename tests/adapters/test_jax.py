"""What only the JAX adapter has: types, devices, programs of fixed shapes, JAX's own rules."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np
import pytest

from conformance.adapters import _llama, reference
from conformance.adapters import jax as adapter
from conformance.errors import CandidateUnavailable, Unsupported
from conformance.package import open_package
from conformance.records import OperatorCall
from reference_model.package import write_package
from reference_model.zoo import MODELS

jax = pytest.importorskip("jax")

IDS = np.random.default_rng(0).integers(0, 512, (2, 9), dtype=np.int64)
BATCH = (IDS, np.ones_like(IDS), np.broadcast_to(np.arange(9), IDS.shape))
NEAR = 1e-4


@pytest.fixture(scope="module")
def model(package):
    with adapter.open("cpu", {}) as candidate:
        yield candidate.load(package)


@pytest.mark.parametrize("name", ["mistral-window", "qwen2-bias", "qwen3-qk-norm"])
def test_its_decoder_is_the_oracles_on_models_of_other_families(name, tmp_path):
    write_package(MODELS[name], tmp_path / name)
    package = open_package(tmp_path / name)
    ids = np.random.default_rng(2).integers(0, 512, (2, 40), dtype=np.int64)
    batch = (ids, np.ones_like(ids), np.broadcast_to(np.arange(40), ids.shape))
    with reference.open("", {}) as oracle, adapter.open("cpu", {}) as candidate:
        difference = candidate.load(package).logits(*batch) - oracle.load(package).logits(*batch)
    assert np.abs(difference).max() < NEAR


def test_a_family_that_is_not_built_is_refused(tmp_path):
    write_package(MODELS["gemma2-capped"], tmp_path / "gemma")
    with (
        adapter.open("cpu", {}) as candidate,
        pytest.raises(Unsupported, match="model_type is 'gemma2'; built are llama, mistral"),
    ):
        candidate.load(open_package(tmp_path / "gemma"))


def part(start, stop):
    ids, mask, positions = BATCH
    return ids[:, start:stop], mask[:, :stop], positions[:, start:stop]


def attention(rows=3, keys=3, **inputs):
    shapes = {"Q": (1, 1, rows, 4), "K": (1, 1, keys, 4), "V": (1, 1, keys, 4)}
    drawn = {
        name: np.random.default_rng(i).standard_normal(shape).astype(np.float32)
        for i, (name, shape) in enumerate(shapes.items())
    }
    return OperatorCall("Attention", 24, {**drawn, **inputs})


@pytest.mark.parametrize(("dtype", "precision"), [("float32", "fp32"), ("bfloat16", "bf16")])
def test_the_type_is_the_claim_and_the_type_of_the_logits(package, dtype, precision):
    with adapter.open("cpu", {"dtype": dtype}) as candidate:
        assert candidate.info.claims.precision == precision
        logits = candidate.load(package).logits(*BATCH)
    assert logits.dtype == np.dtype(getattr(ml_dtypes, dtype, dtype))


def test_jax_has_no_attention_in_float16_when_jitted_for_the_cpu():
    x = np.ones((1, 2, 1, 4), np.float16)
    with jax.default_device("cpu"), pytest.raises(ValueError, match="F16_F16_F32"):
        jax.jit(jax.nn.dot_product_attention)(x, x, x)
    with (
        pytest.raises(CandidateUnavailable, match="dtype='float16' is not possible"),
        adapter.open("cpu", {"dtype": "float16"}),
    ):
        pass


@pytest.mark.parametrize(
    "options",
    [
        {"shapes": "exact"},
        {"optimization": "least"},
        pytest.param({"jit": "no"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_padding_fusing_and_optimising_leave_the_logits_what_they_are(package, model, options):
    with adapter.open("cpu", options) as candidate:
        session = candidate.load(package).start(2)
        steps = [session.append(*part(start, stop)) for start, stop in ((0, 4), (4, 9))]
    difference = np.concatenate(steps, axis=1) - model.logits(*BATCH)
    assert np.abs(difference).max() < NEAR


def test_what_a_crop_leaves_in_the_buffer_is_seen_by_nobody(model):
    session = model.start(2)
    session.append(*(np.tile(array, 4) for array in BATCH))
    session.crop(0)
    assert np.abs(session.append(*BATCH) - model.logits(*BATCH)).max() < NEAR


def test_a_session_that_outgrows_its_buffer_keeps_what_it_had(model):
    length = 80
    ids = np.random.default_rng(1).integers(0, 512, (1, length), dtype=np.int64)
    mask, positions = np.ones_like(ids), np.arange(length)[None]
    session = model.start(1)
    steps = [
        session.append(ids[:, a : a + 40], mask[:, : a + 40], positions[:, a : a + 40])
        for a in range(0, length, 40)
    ]
    whole = model.logits(ids, mask, positions)
    assert np.abs(np.concatenate(steps, axis=1) - whole).max() < NEAR


def test_settings_of_jax_are_what_they_were_and_64_bits_widen_nothing(package):
    with jax.enable_x64(new_val=True), adapter.open("cpu", {}) as candidate:
        assert candidate.load(package).logits(*BATCH).dtype == np.float32
        assert jax.numpy.zeros(1).dtype == np.float64
    assert jax.numpy.zeros(1).dtype == np.float32
    assert jax.config.jax_default_matmul_precision is None
    assert jax.config.jax_default_device is None


@pytest.mark.parametrize("target", ["gpu", "gpu:1"])
def test_an_absent_gpu_is_unavailable(target):
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is a GPU")
    with (
        pytest.raises(CandidateUnavailable, match=rf"'{target}'.*test the target cpu"),
        adapter.open(target, {}),
    ):
        pass


@pytest.mark.parametrize("target", ["gpu:", "gpu:x", "cpu:1", "cuda"])
def test_a_target_that_is_none_is_unavailable(target):
    with (
        pytest.raises(CandidateUnavailable, match="unknown device"),
        adapter.open(target, {}),
    ):
        pass


def test_what_jax_has_not_is_unsupported_and_never_narrowed():
    wide = np.ones((2, 3))
    table, far = np.ones((2, 3), np.float32), np.array([[2**31]])
    with adapter.open("cpu", {}) as candidate:
        for call, told in (
            (OperatorCall("Softmax", 13, {"input": wide}, {}, ("output",)), "float64"),
            (OperatorCall("Gather", 13, {"data": table, "indices": far}), "32 bits"),
            (dataclasses.replace(attention(), attributes={"softmax_precision": 1}), "softmax_prec"),
            (dataclasses.replace(attention(), outputs=("Y", "qk_matmul_output")), "qk_matmul"),
        ):
            with pytest.raises(Unsupported, match=told):
                candidate.operator(call)


@pytest.mark.parametrize("poisoned", ["K", "V"])
def test_nan_under_a_mask_reaches_the_output_from_keys_and_from_values(poisoned):
    call = attention(attn_mask=np.array([[True, True, False]]))
    call.inputs[poisoned][:, :, 2] = np.nan
    with adapter.open("cpu", {}) as candidate:
        assert candidate.info.claims.contract.get("nan_under_mask", "propagates") == "propagates"
        assert np.isnan(candidate.operator(call)["Y"]).all()


def test_the_mask_of_jax_itself_keeps_two_rules_for_nan():
    mask = np.array([True, True, False]).reshape(1, 1, 1, 3)
    reached = {}
    for poisoned in "KV":
        q, k, v = (attention().inputs[name].swapaxes(1, 2).copy() for name in "QKV")
        {"K": k, "V": v}[poisoned][:, 2] = np.nan
        reached[poisoned] = bool(np.isnan(jax.nn.dot_product_attention(q, k, v, mask=mask)).any())
    assert reached == {"K": False, "V": True}


def test_the_variance_that_jax_takes_by_default_keeps_no_digits_of_a_far_mean():
    row = np.random.default_rng(0).standard_normal(64)
    x = (1000 * row.std() + row).astype(np.float32)
    truth = (x - x.mean(dtype=np.float64)) / x.std(dtype=np.float64)
    error = {
        name: np.abs(jax.nn.standardize(x, epsilon=0.0, algorithm=name) - truth).max()
        for name in ("fast", "stable")
    }
    assert error["fast"] > 1e-2
    assert error["stable"] < 1e-3


def test_a_softmax_in_bfloat16_is_much_further_off_than_one_of_float32_that_is_rounded():
    x = (8 * np.random.default_rng(0).standard_normal((8, 256))).astype(ml_dtypes.bfloat16)
    truth = np.exp(x.astype(np.float64))
    truth /= truth.sum(axis=-1, keepdims=True)
    shares = {
        "narrow": jax.nn.softmax(x),
        "wide": jax.nn.softmax(x.astype(np.float32)).astype(x.dtype),
    }
    seen = truth > 1e-30
    error = {
        name: np.max(np.abs(np.asarray(share, np.float64) / truth - 1)[seen])
        for name, share in shares.items()
    }
    assert error["wide"] <= 2.0**-8
    assert error["narrow"] > 10 * error["wide"]


def test_a_query_without_keys_is_nan_as_claimed():
    call = attention(attn_mask=np.array([[True, False, True], [False, False, False]] * 2)[:3])
    with adapter.open("cpu", {}) as candidate:
        assert candidate.info.claims.contract["query_without_keys"] == "nan"
        y_BHTK = candidate.operator(call)["Y"]
    assert np.isnan(y_BHTK).any(axis=-1).tolist() == [[[False, True, False]]]


def test_subnormal_numbers_are_flushed_as_claimed():
    x = np.array([[0.0, -87.5]], np.float32)
    call = OperatorCall("Softmax", 13, {"input": x}, {}, ("output",))
    with adapter.open("cpu", {}) as candidate:
        assert candidate.info.claims.contract["flush_to_zero"] is True
        share = candidate.operator(call)["output"][0, 1]
    assert 0 < np.exp(np.float64(-87.5)) < np.finfo(np.float32).tiny
    assert share == 0


LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}},
        {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **LLAMA3}},
        {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", **LLAMA3}},
    ],
    ids=["older", "oldest", "newer"],
)
def test_all_spellings_of_a_scaling_are_read_alike(package, rope):
    plain = {k: v for k, v in package.config.items() if not k.startswith("rope_")}
    spelled = dataclasses.replace(package, config={**plain, **rope})
    phases = _llama.read(spelled).phases
    assert phases == {"dim": 24, "theta": 5e5, "scaling": "llama3", **LLAMA3}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", "gelu"),
        ("mlp_bias", True),
        ("model_type", "gemma2"),
        ("rope_parameters", {"rope_theta": 1e4, "rope_type": "dynamic", "factor": 2.0}),
    ],
)
def test_a_model_of_another_function_is_unsupported(package, key, value):
    other = dataclasses.replace(package, config={**package.config, key: value})
    with pytest.raises(Unsupported, match="built"):
        _llama.read(other)
