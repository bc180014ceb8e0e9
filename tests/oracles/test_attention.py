"""Attention in fp64 is true to mpmath and torch, its positions and its policies included."""

from __future__ import annotations

import dataclasses

import mpmath
import numpy as np
import pytest
from attentions import additive, call, drawn, torch_attention

from conformance.errors import SpecError
from conformance.oracles.operators import attention, attention_variants
from conformance.oracles.standard import expected
from contracts import contract
from honest import f32, rho

RNG = np.random.default_rng(3)
FP32 = contract("float32")


def close(ours, theirs):
    return np.allclose(ours, np.asarray(theirs), rtol=1e-12, atol=1e-13)


def test_a_sink_in_fifty_digits():
    scores, sink, values = [0.3, -1.2, 2.0], 1.5, [0.7, -0.4, 1.1]
    with mpmath.workdps(50):
        exponentials = [mpmath.exp(s) for s in scores]
        total = mpmath.fsum([*exponentials, mpmath.exp(sink)])
        wanted = float(
            mpmath.fsum(e * v for e, v in zip(exponentials, values, strict=True)) / total
        )
    q, k, v = (np.array(x, dtype=np.float64).reshape(1, 1, -1, 1) for x in ([1.0], scores, values))
    y = attention.attention(q, k, v, scale=1.0, sinks_H=np.array([sink])).output
    assert abs(y.item() - wanted) <= 1e-15


def test_sinks_equal_torch_with_one_more_logit():
    inputs, sinks = drawn(RNG), RNG.normal(size=4).astype(f32) * 5
    allowed = RNG.random((5, 33)) < 0.6
    given = {**inputs, "sinks": sinks, "attn_mask": allowed}
    ours = expected(call(given, "AttentionWithSinks"), FP32)["Y"].value
    assert close(ours, torch_attention(inputs, additive(allowed), sinks))


@pytest.mark.parametrize(
    ("heads", "slopes"),
    [
        (1, [2**-8]),
        (4, [2**-2, 2**-4, 2**-6, 2**-8]),
        (3, [2**-4, 2**-8, 2**-2]),
        (6, [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]),
    ],
)
def test_slopes_are_those_of_the_paper(heads, slopes):
    assert attention_variants.alibi_slopes(heads).tolist() == slopes


def test_linear_biases_equal_torch_with_a_mask():
    inputs = drawn(RNG, heads=6, shared=3, queries=4, keys=9)
    behind = np.arange(9) - (np.arange(4)[:, None] + 5)
    bias = np.where(
        behind > 0,
        -np.inf,
        np.array([0.25, 1 / 16, 1 / 64, 1 / 256, 0.5, 1 / 8])[:, None, None] * behind,
    )
    ours = expected(call(inputs, "AttentionWithAlibi", q_num_heads=6), FP32)["Y"].value
    assert close(ours, torch_attention(inputs, bias))


def test_linear_biases_of_more_queries_than_keys_are_refused():
    inputs = drawn(RNG, heads=2, queries=4, keys=3)
    with pytest.raises(SpecError, match="4 queries are the last of 3 keys"):
        expected(call(inputs, "AttentionWithAlibi", q_num_heads=2), FP32)


@pytest.mark.parametrize(
    ("attributes", "past", "allowed"),
    [
        ({"is_causal": 1}, 0, lambda i, j: j <= i),
        ({"is_causal": 1}, 4, lambda i, j: j <= i + 4),
        ({"left_window_size": 2, "right_window_size": 0}, 0, lambda i, j: (i - 2 <= j) & (j <= i)),
        ({"left_window_size": 2, "is_causal": 1}, 4, lambda i, j: (i + 2 <= j) & (j <= i + 4)),
        ({"right_window_size": 1}, 4, lambda i, j: j <= i + 5),
        ({"left_window_size": 0}, 0, lambda i, j: j >= i),
    ],
)
def test_positions_count_from_the_past(attributes, past, allowed):
    inputs = drawn(RNG, queries=5, keys=5)
    whole = drawn(RNG, queries=5, keys=5 + past)
    if past:
        inputs |= {"past_key": whole["K"][:, :, :past], "past_value": whole["V"][:, :, :past]}
    inputs |= {"Q": whole["Q"], "K": whole["K"][:, :, past:], "V": whole["V"][:, :, past:]}
    seen = allowed(np.arange(5)[:, None], np.arange(5 + past))
    ours = expected(call(inputs, **attributes), FP32)["Y"].value
    assert close(ours, torch_attention(whole, additive(seen)))


def test_a_cache_of_its_own_length_hides_what_is_not_filled():
    inputs = drawn(RNG, queries=2, keys=6)
    given = {**inputs, "nonpad_kv_seqlen": np.array([3, 6])}
    ours = expected(call(given, is_causal=1), FP32)["Y"].value
    for row, length in enumerate((3, 6)):
        alone = {n: x[row : row + 1] for n, x in inputs.items()}
        alone |= {n: alone[n][:, :, :length] for n in "KV"}
        seen = np.arange(length) <= np.arange(2)[:, None] + length - 2
        assert close(ours[row : row + 1], torch_attention(alone, additive(seen)))


def blind(policy):
    """Return attention whose second of three queries sees no key, under a policy."""
    inputs = {**drawn(RNG, queries=3, keys=4), "attn_mask": np.ones((3, 4), bool)}
    inputs["attn_mask"][1] = False
    shown = call(inputs, outputs=("Y", "qk_matmul_output"), qk_matmul_output_mode=3)
    return inputs, expected(shown, dataclasses.replace(FP32, query_without_keys=policy))


@pytest.mark.parametrize("policy", ["zero", "nan", "uniform"])
def test_a_query_without_keys_answers_by_its_policy(policy):
    inputs, found = blind(policy)
    mean = np.repeat(inputs["V"], 2, axis=1).astype(np.float64).mean(2)
    wanted = {"zero": 0 * mean, "nan": np.nan * mean, "uniform": mean}[policy]
    weight = {"zero": 0.0, "nan": np.nan, "uniform": 0.25}[policy]
    assert np.allclose(found["Y"].value[:, :, 1], wanted, equal_nan=True)
    assert np.allclose(found["qk_matmul_output"].value[:, :, 1], weight, equal_nan=True)
    others = found["Y"].value[:, :, [0, 2]]
    assert np.isfinite(others).all()
    assert (found["Y"].bound[:, :, 1] == 0).all() == (policy != "uniform")
    honest = np.mean(np.repeat(inputs["V"], 2, axis=1), axis=2, dtype=f32)
    if policy == "uniform":
        assert rho(honest, found["Y"].value[:, :, 1], found["Y"].bound[:, :, 1]) <= 1


@pytest.mark.parametrize("where", ["K", "V"])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_what_is_no_number_under_a_mask_does_by_its_policy(where, poison):
    inputs = drawn(RNG, queries=3, keys=4)
    allowed = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1]], dtype=bool)
    bad = {**inputs, where: inputs[where].copy(), "attn_mask": allowed}
    bad[where][:, :, -1] = poison
    clean = expected(call({**inputs, "attn_mask": allowed}), FP32)["Y"]
    isolating = dataclasses.replace(FP32, nan_under_mask="isolates")
    found = expected(call(bad), isolating)["Y"]
    assert np.array_equal(found.value[:, :, :2], clean.value[:, :, :2])
    assert np.array_equal(found.bound[:, :, :2], clean.bound[:, :, :2])
    assert not np.isfinite(found.value[:, :, 2]).all()  # this query sees it
    if not (where == "K" and np.isinf(poison)):
        assert np.isnan(expected(call(bad), FP32)["Y"].value[:, :, :2]).all()
