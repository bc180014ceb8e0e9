"""Attention in the adapters: every way to ask for it, what is claimed, and what runtimes do."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from attentions import call, drawn

from conformance import spec
from conformance.adapters import onnxruntime, pytorch
from conformance.oracles.standard import expected
from honest import f32, rho

SPEC = spec.load()
RNG = np.random.default_rng(11)
MASK = RNG.random((5, 7)) < 0.6
MASK[:, 0] = True
BLIND = MASK & (np.arange(5) != 2)[:, None]
PLAIN = drawn(RNG, keys=7)
PAST = {
    "past_key": RNG.normal(size=(2, 2, 4, 8)).astype(f32),
    "past_value": RNG.normal(size=(2, 2, 4, 6)).astype(f32),
}
SINKS = {"sinks": np.array([3, -8, 0.5, 9], f32)}
ASKED = {
    "window": call(PLAIN, left_window_size=2, right_window_size=0),
    "window of both sides under a mask": call(
        {**PLAIN, "attn_mask": MASK}, left_window_size=1, right_window_size=2
    ),
    "window with a past": call({**PLAIN, **PAST}, left_window_size=3, is_causal=1),
    "external cache": call({**PLAIN, "nonpad_kv_seqlen": np.array([6, 7])}, is_causal=1),
    "softcap": call({**PLAIN, "attn_mask": MASK}, softcap=0.5),
    "softcap without keys": call({**PLAIN, "attn_mask": BLIND}, softcap=0.5),
    "query without keys": call({**PLAIN, "attn_mask": BLIND}),
    "sinks": call({**PLAIN, **SINKS, "attn_mask": MASK}, "AttentionWithSinks", 23),
    "sinks without keys": call({**PLAIN, **SINKS, "attn_mask": BLIND}, "AttentionWithSinks", 23),
    "sinks by batch": call(
        {**PLAIN, **SINKS, "attn_mask": np.stack([MASK, MASK[::-1]])[:, None]},
        "AttentionWithSinks",
        23,
        scale=0.3,
    ),
    "biases": call(PLAIN, "AttentionWithAlibi", 23, q_num_heads=4),
    "biases with a scale": call(PLAIN, "AttentionWithAlibi", 23, q_num_heads=4, scale=0.3),
}


def worst(candidate, asked):
    """Return the largest ratio to the bounds of what a candidate claims."""
    truth = expected(asked, spec.contract_of(SPEC, candidate.info.claims))
    answer = candidate.operator(asked)
    return max(rho(answer[name], truth[name].value, truth[name].bound) for name in truth)


def rounded(asked, name):
    """Return the same call with floating inputs in another type."""
    kind = np.dtype(getattr(ml_dtypes, name, None) or name)
    return call(
        {n: x.astype(kind) if x.dtype == f32 else x for n, x in asked.inputs.items()},
        asked.operator,
        asked.opset,
        asked.outputs,
        **asked.attributes,
    )


@pytest.mark.parametrize("way", ASKED)
def test_every_adapter_knows_every_way_to_ask(candidate, way):
    if "operators" not in candidate.info.claims.capabilities:
        pytest.skip("claims no operators")
    if candidate.info.name == "openvino" and way.startswith("window"):
        assert worst(candidate, ASKED[way]) > 1000  # OpenVINO 2026.4 does not know the attributes
        return
    assert worst(candidate, ASKED[way]) <= 1


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_every_adapter_shows_its_scores(candidate, mode):
    if "operators" not in candidate.info.claims.capabilities:
        pytest.skip("claims no operators")
    inputs = {**PLAIN, "attn_mask": RNG.normal(size=(5, 7)).astype(f32)}
    outputs = ("Y", "qk_matmul_output")
    asked = call(inputs, outputs=outputs, qk_matmul_output_mode=mode, softcap=2.0)
    if candidate.info.name == "onnx_reference" and mode == 0:
        # onnx 1.23 caps the scores in place, and shows them so where the raw ones are asked for.
        assert worst(candidate, asked) > 1000
        asked = call(inputs, outputs=outputs, qk_matmul_output_mode=mode)
    assert worst(candidate, asked) <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("way", ASKED)
def test_composed_attention_keeps_its_own_claim(way, dtype):
    with pytorch.open("", {"attention": "eager", "dtype": dtype}) as candidate:
        assert candidate.info.claims.contract["query_without_keys"] == "nan"
        assert "attention composed" in candidate.info.runtime
        assert worst(candidate, rounded(ASKED[way], dtype)) <= 1


def test_composed_attention_answers_nan_where_no_key_is_seen():
    with pytorch.open("", {"attention": "eager"}) as candidate:
        assert np.isnan(candidate.operator(ASKED["query without keys"])["Y"][:, :, 2]).all()


@pytest.mark.parametrize("way", ASKED)
def test_onnxruntime_in_float16_keeps_what_it_claims(way):
    with onnxruntime.open("", {"dtype": "float16", "threads": "1"}) as candidate:
        assert worst(candidate, rounded(ASKED[way], "float16")) <= 1


def test_onnxruntime_in_float16_rounds_scores_and_weights_and_adds_up_in_float32():
    outputs = ("Y", "qk_matmul_output")
    asked = rounded(call(PLAIN, opset=23, outputs=outputs, qk_matmul_output_mode=3), "float16")
    q, k, v = (np.repeat(asked.inputs[n], 4 // asked.inputs[n].shape[1], 1) for n in "QKV")
    exact = q.astype(np.float64) @ k.astype(np.float64).swapaxes(-1, -2) * 8**-0.5
    scores = exact.astype(np.float16).astype(f32)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    weights = (e / e.sum(-1, keepdims=True)).astype(np.float16)
    with onnxruntime.open("", {"dtype": "float16", "threads": "1"}) as candidate:
        answer = candidate.operator(asked)
    assert np.mean(answer["qk_matmul_output"] == weights) > 0.98  # but for ties
    shown = answer["qk_matmul_output"].astype(f32)
    assert np.mean(answer["Y"] == (shown @ v.astype(f32)).astype(np.float16)) > 0.98


def test_onnxruntime_claims_no_attention_in_float64_whose_scale_has_a_float32_root():
    with onnxruntime.open("", {"dtype": "float64", "threads": "1"}) as candidate:
        claimed = candidate.info.claims.operators
        assert "Softmax" in claimed
        assert not {"Attention", "AttentionWithAlibi", "AttentionWithSinks"} & claimed
        exact, inexact = (rounded(call(PLAIN, scale=s), "float64") for s in (0.25, 0.5))
        assert worst(candidate, exact) <= 1  # its root, 0.5, is a float32 number
        assert worst(candidate, inexact) > 1000


def torch_of_a_bad_query(number, keys, dtype):
    inputs = drawn(RNG, shared=4, keys=keys)
    inputs["Q"][0, 0, 1, 0] = number
    inputs["V"] = np.pad(inputs["V"], [(0, 0)] * 3 + [(0, 2)])  # as wide as the keys: flash
    with pytorch.open("", {"dtype": dtype}) as candidate:
        return candidate.operator(rounded(call(inputs, opset=23), dtype))["Y"][0, 0, 1]


def test_torch_hides_a_nan_where_keys_are_fewer_than_a_vector_holds():
    # When this fails, torch has been repaired: let the cases of ATTN-022 have fewer keys.
    assert (torch_of_a_bad_query(np.nan, 5, "float32") == 0).all()
    assert np.isnan(torch_of_a_bad_query(np.nan, 16, "float32")).all()


def test_torch_hides_an_infinity_in_narrow_types():
    # When this fails, torch has been repaired: ATTN-022 can speak of infinity too.
    assert (torch_of_a_bad_query(np.inf, 16, "bfloat16") == 0).all()
    assert np.isnan(torch_of_a_bad_query(np.inf, 16, "float32")).all()
