"""Honest forms of attention keep its bounds, one-line faults and undeclared types do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attentions import additive, call, drawn, torch_attention, varied
from torch.nn import functional

from conformance.oracles.operators import attention, attention_variants
from conformance.oracles.standard import expected
from contracts import contract
from honest import NOT_VACUOUS, SUMS, f32, rho

FP32 = contract("float32")
SEEDS = range(60)


def weightings(x):
    """Yield softmaxes of float32 rows, the sum taken in several orders."""
    e = np.exp(x - x.max(-1, keepdims=True))
    for add in SUMS:
        yield e / add(e)[..., None]


def sink_cases(rng):
    inputs = varied(rng)
    keys = inputs["K"].shape[2]
    sinks = (rng.normal(size=4) * rng.choice([1, 10])).astype(f32)
    allowed = rng.random((5, keys)) < 0.6
    given = {**inputs, "sinks": sinks, "attn_mask": allowed}
    truth = expected(call(given, "AttentionWithSinks"), FP32)["Y"]
    q, k, v = (inputs[n] for n in "QKV")
    k, v = (attention.repeat_heads(x, 4) for x in (k, v))
    scores = (q @ k.swapaxes(-1, -2)) * f32(8**-0.5) + additive(allowed).astype(f32)
    column = np.broadcast_to(sinks[:, None, None], (*scores.shape[:-1], 1))
    for weights in weightings(np.concatenate([scores, column], -1)):
        yield weights[..., :-1] @ v, truth.value, truth.bound
    # As a key of zeros without a value, which is one more term in every sum.
    zero = np.zeros_like(k[:, :, :1])
    longer = q @ np.concatenate([k, zero], 2).swapaxes(-1, -2) * f32(8**-0.5)
    longer[..., :-1] += additive(allowed).astype(f32)
    longer[..., -1] += sinks[:, None]
    for weights in weightings(longer):
        yield weights @ np.concatenate([v, np.zeros_like(v[:, :, :1])], 2), truth.value, truth.bound


def alibi_cases(rng):
    heads = int(rng.choice([2, 6]))
    inputs = varied(rng, heads=heads)
    keys = inputs["K"].shape[2]
    truth = expected(call(inputs, "AttentionWithAlibi", q_num_heads=heads), FP32)["Y"]
    q, k, v = inputs["Q"], *(attention.repeat_heads(inputs[n], heads) for n in "KV")
    slopes = attention_variants.alibi_slopes(heads).astype(f32)[:, None, None]
    behind = np.arange(keys) - (np.arange(5)[:, None] + keys - 5)
    scores = (q @ k.swapaxes(-1, -2)) * f32(8**-0.5)
    for distance in (behind, np.arange(keys)):
        biased = np.where(behind > 0, -np.inf, scores + slopes * distance.astype(f32)).astype(f32)
        for weights in weightings(biased):
            yield weights @ v, truth.value, truth.bound


def far_cap_cases(rng):
    """Scores around the cap, and far beyond it, where its slope is next to nothing."""
    side = rng.choice([-1, 1])
    inputs = {n: x * f32(0.3) for n, x in varied(rng).items()}
    inputs["Q"] += f32(side * rng.choice([1.0, 8.0]))
    inputs["K"] += f32(rng.choice([1.0, 8.0]))
    truth = expected(call(inputs, softcap=5.0), FP32)["Y"]
    q, k, v = inputs["Q"], *(attention.repeat_heads(inputs[n], 4) for n in "KV")
    scores = (q @ k.swapaxes(-1, -2)) * f32(8**-0.5)
    for weights in weightings(f32(5) * np.tanh(scores / f32(5))):
        yield weights @ v, truth.value, truth.bound


CASES = {"sinks": sink_cases, "alibi": alibi_cases}


def worst(cases):
    return max(rho(*case) for seed in SEEDS for case in cases(np.random.default_rng(seed)))


@pytest.mark.parametrize("name", CASES)
def test_honest_implementations_stay_within_a_bound_that_is_not_vacuous(name):
    assert NOT_VACUOUS <= worst(CASES[name]) <= 1


def test_honest_softcaps_stay_within_a_bound_that_knows_their_slope():
    # A hyperbolic tangent may err by 2 ulp, of which NumPy's has a quarter.
    assert NOT_VACUOUS / 2 <= worst(far_cap_cases) <= 1


def sinks_truth():
    rng = np.random.default_rng(5)
    given = drawn(rng, size=2.0) | {"sinks": np.array([3, -1, 0.5, 2], f32)}
    given["attn_mask"] = np.ones((5, 33), bool)
    return given, expected(call(given, "AttentionWithSinks"), FP32)["Y"]


@pytest.mark.parametrize(
    "sinks",
    [None, np.full(4, 3.0), np.array([3, 3, 0.5, 0.5]), 8**-0.5 * np.array([3, -1, 0.5, 2])],
    ids=["dropped", "of the first head", "of the key/value head", "scaled"],
)
def test_a_faulty_sink_leaves_the_bound(sinks):
    given, truth = sinks_truth()
    assert rho(torch_attention(given, sinks=sinks), truth.value, truth.bound) > 1000


@pytest.mark.parametrize(
    "slopes",
    [[2 ** (-8 * h / 3) for h in (1, 2, 3)], [0.25, 1 / 16, 1 / 64], [1, 1 / 16, 0.5], [0, 0, 0]],
    ids=["by the formula", "of the next power of two", "from one on", "missing"],
)
def test_faulty_slopes_leave_the_bound(slopes):
    inputs = drawn(np.random.default_rng(5), heads=3, shared=3, queries=33)
    truth = expected(call(inputs, "AttentionWithAlibi", q_num_heads=3), FP32)["Y"]
    behind = np.arange(33) - np.arange(33)[:, None]
    bias = np.where(behind > 0, -np.inf, np.array(slopes)[:, None, None] * behind)
    assert rho(torch_attention(inputs, bias), truth.value, truth.bound) > 1000


def sharp_bfloat16():
    """Return queries, keys and values in bfloat16 whose scores have a deviation of 8."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(2, 4, 128, 64, generator=generator, dtype=torch.float64) for _ in "qkv"]
    sizes = (8**0.5, 8**0.5, 1.0)
    return [(x * size).to(torch.bfloat16) for x, size in zip(draw, sizes, strict=True)]


def worst_by_contract(observed, tensors):
    """Return the ratio to the bound by float32 scores, and by bfloat16 scores and weights."""
    inputs = dict(zip("QKV", (x.double().numpy() for x in tensors), strict=True))
    found = [
        expected(call(inputs), contract("bfloat16", "float32", **narrow))["Y"]
        for narrow in ({}, {"score": "bfloat16", "probability": "bfloat16"})
    ]
    return [rho(observed.double().numpy(), truth.value, truth.bound) for truth in found]


def test_float32_scores_keep_the_strict_contract_of_bfloat16():
    q, k, v = tensors = sharp_bfloat16()
    scores = q.float() @ k.float().mT / 8
    once = (scores.softmax(-1) @ v.float()).to(torch.bfloat16)
    strict, narrow = worst_by_contract(once, tensors)
    assert narrow < strict <= 1


def test_bfloat16_scores_leave_the_strict_contract_by_an_order_of_magnitude():
    q, k, v = tensors = sharp_bfloat16()
    eager = (q @ k.mT / 8).softmax(-1) @ v
    strict, narrow = worst_by_contract(eager, tensors)
    assert strict > 5
    assert narrow <= 1


def test_torchs_own_attention_in_bfloat16_keeps_what_it_claims():
    tensors = sharp_bfloat16()
    observed = functional.scaled_dot_product_attention(*tensors)
    assert worst_by_contract(observed, tensors)[1] <= 1
