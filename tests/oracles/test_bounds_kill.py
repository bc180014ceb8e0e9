"""One-line faults, computed in fp64 and rounded once, leave the bound of their operator.

That is the hardest form of a fault: there is no rounding of its own to give it away.
"""

from __future__ import annotations

import numpy as np
import pytest

from conformance.oracles.operators import (
    activations,
    attention,
    linear,
    losses,
    norms,
    rotary,
    softmax,
)
from contracts import contract

RNG = np.random.default_rng(0)


FP32 = contract("float32")
BF16 = contract("bfloat16", "float32")


def rho(observed, value, bound):
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(np.asarray(observed) - value)
        return float(np.where(error == 0, 0.0, error / bound).max())


X, W, B = RNG.normal(size=(6, 64)), RNG.normal(size=(5, 64)), RNG.normal(size=5)
SCALE = RNG.normal(size=64)
SMALL = X * 1e-3
GATE, UP = RNG.normal(size=(2, 500)) * 4
LOGITS = RNG.normal(size=(7, 9)) * 3
LABELS = np.array([0, 1, 2, 3, 2, 5, 2])
CLASSES = RNG.uniform(0.1, 2, 9)
Q, K, V = (RNG.normal(size=s) * 2 for s in ((1, 4, 6, 8), (1, 2, 6, 8), (1, 2, 6, 8)))
CAUSAL = attention.mask_bias(attention.causal_mask(6, 6), "float64")
COS, SIN = np.cos(RNG.normal(size=(1, 6, 4))), np.sin(RNG.normal(size=(1, 6, 4)))
LOSS = {"ignore_index": 2}


def unbiased_norm(x, weight, epsilon):
    mean_square = (x * x).sum(-1, keepdims=True) / (x.shape[-1] - 1)
    return x / np.sqrt(mean_square + epsilon) * weight


def attention_with_tiled_heads():
    tiled = [np.tile(x, (1, 2, 1, 1)) for x in (K, V)]
    return attention.attention(Q, *tiled, CAUSAL).output


def norm_case(x, terms=FP32):
    return norms.rms_norm(x, SCALE, 1e-5), norms.rms_norm_bound(x, SCALE, 1e-5, terms)


def attention_case(terms=FP32, **options):
    scale = Q.shape[-1] ** -0.5
    value = attention.attention(Q, K, V, CAUSAL, **options)
    bound = attention.attention_bound(Q, K, V, value, terms, scale=scale, **options)
    return value.output, bound.output


def linear_case(terms=FP32):
    return linear.linear(X, W, B), linear.linear_bound(X, W, B, terms)


def loss_case():
    bound = losses.cross_entropy_bound(LOGITS, LABELS, CLASSES, FP32, **LOSS)
    return losses.cross_entropy(LOGITS, LABELS, CLASSES, **LOSS), bound


ZERO_MASK = np.where(np.isneginf(CAUSAL), -10.0, 0.0)

FAULTS = {
    "linear: bias dropped": (linear.linear(X, W), *linear_case()),
    "linear: last term dropped": (linear.linear(X[:, :-1], W[:, :-1], B), *linear_case()),
    "linear: last term dropped, bf16": (linear.linear(X[:, :-1], W[:, :-1], B), *linear_case(BF16)),
    "linear: one output moved by 2**-14": (linear.linear(X, W, B) * (1 + 2**-14), *linear_case()),
    "norm: epsilon 1e-6 for 1e-5": (norms.rms_norm(SMALL, SCALE, 1e-6), *norm_case(SMALL)),
    "norm: epsilon 1e-6 for 1e-5, bf16": (
        norms.rms_norm(SMALL, SCALE, 1e-6),
        *norm_case(SMALL, BF16),
    ),
    "norm: scale missing": (norms.rms_normalize(X, 1e-5), *norm_case(X)),
    "norm: scale is 1 + w": (norms.rms_norm(X, 1 + SCALE, 1e-5), *norm_case(X)),
    "norm: mean over n - 1": (unbiased_norm(X, SCALE, 1e-5), *norm_case(X)),
    "rotary: interleaved for halves": (
        rotary.rotary(Q, COS, SIN, interleaved=True),
        rotary.rotary(Q, COS, SIN),
        rotary.rotary_bound(Q, COS, SIN, FP32),
    ),
    "rotary: sign of the angle": (
        rotary.rotary(Q, COS, -SIN),
        rotary.rotary(Q, COS, SIN),
        rotary.rotary_bound(Q, COS, SIN, FP32),
    ),
    "softmax: temperature 1.0001": (
        softmax.softmax(LOGITS / 1.0001),
        softmax.softmax(LOGITS),
        softmax.softmax_bound(LOGITS, FP32),
    ),
    "log-softmax: temperature 1.0001": (
        softmax.log_softmax(LOGITS / 1.0001),
        softmax.log_softmax(LOGITS),
        softmax.log_softmax_bound(LOGITS, FP32),
    ),
    "softmax: over the wrong axis": (
        softmax.softmax(LOGITS, 0),
        softmax.softmax(LOGITS),
        softmax.softmax_bound(LOGITS, FP32),
    ),
    "silu: swish of 1.001 x": (
        activations.silu(GATE, 1.001),
        activations.silu(GATE),
        activations.silu_bound(GATE, FP32),
    ),
    "swiglu: gate and up swapped": (
        activations.swiglu(UP, GATE),
        activations.swiglu(GATE, UP),
        activations.swiglu_bound(GATE, UP, FP32),
    ),
    "attention: scale missing": (
        attention.attention(Q, K, V, CAUSAL, scale=1.0).output,
        *attention_case(),
    ),
    "attention: scale 1 / sqrt(K + 1)": (
        attention.attention(Q, K, V, CAUSAL, scale=9**-0.5).output,
        *attention_case(BF16),
    ),
    "attention: heads tiled, not repeated": (attention_with_tiled_heads(), *attention_case()),
    "attention: mask of -10": (attention.attention(Q, K, V, ZERO_MASK).output, *attention_case()),
    "attention: no mask": (attention.attention(Q, K, V).output, *attention_case(BF16)),
    "attention: softcap missing": (
        attention.attention(Q, K, V, CAUSAL).output,
        *attention_case(softcap=30.0),
    ),
    "loss: ignored rows in the denominator": (
        losses.cross_entropy(LOGITS, LABELS, CLASSES, **LOSS, reduction="sum") / len(LABELS),
        *loss_case(),
    ),
    "loss: ignored rows counted": (losses.cross_entropy(LOGITS, LABELS, CLASSES), *loss_case()),
    "loss: class weights dropped": (losses.cross_entropy(LOGITS, LABELS, **LOSS), *loss_case()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_leaves_the_bound(fault):
    assert rho(*FAULTS[fault]) > 2


def test_masked_keys_weigh_exactly_nothing():
    value = attention.attention(Q, K, V, CAUSAL)
    bound = attention.attention_bound(Q, K, V, value, FP32, scale=8**-0.5)
    assert (bound.weights[..., np.isneginf(CAUSAL)] == 0).all()


def test_query_without_a_key_is_exactly_zero():
    bias = CAUSAL.copy()
    bias[2] = -np.inf
    value = attention.attention(Q, K, V, bias)
    bound = attention.attention_bound(Q, K, V, value, FP32, scale=8**-0.5)
    assert (value.output[:, :, 2] == 0).all()
    assert (bound.output[:, :, 2] == 0).all()
    assert (bound.output[:, :, 1] > 0).all()


def test_mask_of_minus_1e4_shows_where_no_key_is_allowed():
    # On other rows it is right to the last bit: exp(-1e4) is 0.
    bias = CAUSAL.copy()
    bias[2] = -np.inf
    value = attention.attention(Q, K, V, bias)
    bound = attention.attention_bound(Q, K, V, value, FP32, scale=8**-0.5)
    finite = np.where(np.isneginf(bias), -1e4, 0.0)
    assert rho(attention.attention(Q, K, V, finite).output, value.output, bound.output) == np.inf


def test_softcap_after_the_mask_shows_where_all_scores_are_far_below_the_cap():
    q, k = np.full((1, 1, 6, 8), -8.0), np.full((1, 1, 6, 8), 8.0)
    v, cap, scale = V[:, :1], 5.0, 8**-0.5
    value = attention.attention(q, k, v, CAUSAL, softcap=cap)
    bound = attention.attention_bound(q, k, v, value, FP32, scale=scale, softcap=cap)
    scores = attention.attention(q, k, v, CAUSAL).biased
    capped_after = softmax.softmax(cap * np.tanh(scores / cap)) @ v
    assert rho(capped_after, value.output, bound.output) > 1000


@pytest.mark.parametrize("change", ["rounding", "tf32", "flush_to_zero"])
def test_weaker_contract_has_wider_bounds(change):
    strict = contract("float32")
    weaker = contract("float32", **{change: "stochastic" if change == "rounding" else True})
    x = X * 1e-20  # products are subnormal in part
    assert (
        linear.matmul_bound(x, W.T * 1e-20, weaker) > linear.matmul_bound(x, W.T * 1e-20, strict)
    ).all()


def test_narrow_intermediates_widen_the_bound_of_attention():
    narrow = attention_case(contract("bfloat16"))[1]
    assert (narrow > attention_case(BF16)[1]).all()
