"""One-line faults, computed in fp64 and rounded once, leave the bound of their operator.

That is the hardest form of a fault: there is no rounding of its own to give it away.
"""

from __future__ import annotations

import numpy as np
import pytest

from conformance.oracles import bounds, operators, softmax_bounds
from conformance.records import Contract

RNG = np.random.default_rng(0)


def contract(name, intermediate="float32"):
    types = (name, name, "float32", intermediate, "float32", name)
    return Contract(name, *types, "nearest-even", False, False, 3.0, 4.0, "")  # noqa: FBT003


FP32 = contract("float32")
BF16 = contract("bfloat16")


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
CAUSAL = operators.mask_bias(operators.causal_mask(6, 6), "float64")
COS, SIN = np.cos(RNG.normal(size=(1, 6, 4))), np.sin(RNG.normal(size=(1, 6, 4)))
LOSS = {"ignore_index": 2}


def unbiased_norm(x, weight, epsilon):
    mean_square = (x * x).sum(-1, keepdims=True) / (x.shape[-1] - 1)
    return x / np.sqrt(mean_square + epsilon) * weight


def attention_with_tiled_heads():
    tiled = [np.tile(x, (1, 2, 1, 1)) for x in (K, V)]
    return operators.attention(Q, *tiled, CAUSAL).output


def rms_norm(x, terms=FP32):
    return operators.rms_norm(x, SCALE, 1e-5), bounds.rms_norm(x, SCALE, 1e-5, terms)


def attention(terms=FP32, **options):
    scale = Q.shape[-1] ** -0.5
    value = operators.attention(Q, K, V, CAUSAL, **options)
    bound = softmax_bounds.attention(Q, K, V, value, terms, scale=scale, **options)
    return value.output, bound.output


def linear(terms=FP32):
    return operators.linear(X, W, B), bounds.linear(X, W, B, terms)


def loss():
    bound = softmax_bounds.cross_entropy(LOGITS, LABELS, CLASSES, FP32, **LOSS)
    return operators.cross_entropy(LOGITS, LABELS, CLASSES, **LOSS), bound


ZERO_MASK = np.where(np.isneginf(CAUSAL), -10.0, 0.0)

FAULTS = {
    "linear: bias dropped": (operators.linear(X, W), *linear()),
    "linear: last term dropped": (operators.linear(X[:, :-1], W[:, :-1], B), *linear()),
    "linear: last term dropped, bf16": (operators.linear(X[:, :-1], W[:, :-1], B), *linear(BF16)),
    "linear: one output moved by 2**-14": (operators.linear(X, W, B) * (1 + 2**-14), *linear()),
    "norm: epsilon 1e-6 for 1e-5": (operators.rms_norm(SMALL, SCALE, 1e-6), *rms_norm(SMALL)),
    "norm: epsilon 1e-6 for 1e-5, bf16": (
        operators.rms_norm(SMALL, SCALE, 1e-6),
        *rms_norm(SMALL, BF16),
    ),
    "norm: scale missing": (operators.rms_normalize(X, 1e-5), *rms_norm(X)),
    "norm: scale is 1 + w": (operators.rms_norm(X, 1 + SCALE, 1e-5), *rms_norm(X)),
    "norm: mean over n - 1": (unbiased_norm(X, SCALE, 1e-5), *rms_norm(X)),
    "rotary: interleaved for halves": (
        operators.rotary(Q, COS, SIN, interleaved=True),
        operators.rotary(Q, COS, SIN),
        bounds.rotary(Q, COS, SIN, FP32),
    ),
    "rotary: sign of the angle": (
        operators.rotary(Q, COS, -SIN),
        operators.rotary(Q, COS, SIN),
        bounds.rotary(Q, COS, SIN, FP32),
    ),
    "softmax: temperature 1.0001": (
        operators.softmax(LOGITS / 1.0001),
        operators.softmax(LOGITS),
        softmax_bounds.softmax(LOGITS, FP32),
    ),
    "log-softmax: temperature 1.0001": (
        operators.log_softmax(LOGITS / 1.0001),
        operators.log_softmax(LOGITS),
        softmax_bounds.log_softmax(LOGITS, FP32),
    ),
    "softmax: over the wrong axis": (
        operators.softmax(LOGITS, 0),
        operators.softmax(LOGITS),
        softmax_bounds.softmax(LOGITS, FP32),
    ),
    "silu: swish of 1.001 x": (
        operators.silu(GATE, 1.001),
        operators.silu(GATE),
        bounds.silu(GATE, FP32),
    ),
    "swiglu: gate and up swapped": (
        operators.swiglu(UP, GATE),
        operators.swiglu(GATE, UP),
        bounds.swiglu(GATE, UP, FP32),
    ),
    "attention: scale missing": (
        operators.attention(Q, K, V, CAUSAL, scale=1.0).output,
        *attention(),
    ),
    "attention: scale 1 / sqrt(K + 1)": (
        operators.attention(Q, K, V, CAUSAL, scale=9**-0.5).output,
        *attention(BF16),
    ),
    "attention: heads tiled, not repeated": (attention_with_tiled_heads(), *attention()),
    "attention: mask of -10": (operators.attention(Q, K, V, ZERO_MASK).output, *attention()),
    "attention: no mask": (operators.attention(Q, K, V).output, *attention(BF16)),
    "attention: softcap missing": (
        operators.attention(Q, K, V, CAUSAL).output,
        *attention(softcap=30.0),
    ),
    "loss: ignored rows in the denominator": (
        operators.cross_entropy(LOGITS, LABELS, CLASSES, **LOSS, reduction="sum") / len(LABELS),
        *loss(),
    ),
    "loss: ignored rows counted": (operators.cross_entropy(LOGITS, LABELS, CLASSES), *loss()),
    "loss: class weights dropped": (operators.cross_entropy(LOGITS, LABELS, **LOSS), *loss()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_leaves_the_bound(fault):
    assert rho(*FAULTS[fault]) > 2


def test_masked_keys_weigh_exactly_nothing():
    value = operators.attention(Q, K, V, CAUSAL)
    bound = softmax_bounds.attention(Q, K, V, value, FP32, scale=8**-0.5)
    assert (bound.weights[..., np.isneginf(CAUSAL)] == 0).all()


def test_query_without_a_key_is_exactly_zero():
    bias = CAUSAL.copy()
    bias[2] = -np.inf
    value = operators.attention(Q, K, V, bias)
    bound = softmax_bounds.attention(Q, K, V, value, FP32, scale=8**-0.5)
    assert (value.output[:, :, 2] == 0).all()
    assert (bound.output[:, :, 2] == 0).all()
    assert (bound.output[:, :, 1] > 0).all()


def test_mask_of_minus_1e4_shows_where_no_key_is_allowed():
    # On other rows it is right to the last bit: exp(-1e4) is 0.
    bias = CAUSAL.copy()
    bias[2] = -np.inf
    value = operators.attention(Q, K, V, bias)
    bound = softmax_bounds.attention(Q, K, V, value, FP32, scale=8**-0.5)
    finite = np.where(np.isneginf(bias), -1e4, 0.0)
    assert rho(operators.attention(Q, K, V, finite).output, value.output, bound.output) == np.inf


def test_softcap_after_the_mask_shows_where_all_scores_are_far_below_the_cap():
    q, k = np.full((1, 1, 6, 8), -8.0), np.full((1, 1, 6, 8), 8.0)
    v, cap, scale = V[:, :1], 5.0, 8**-0.5
    value = operators.attention(q, k, v, CAUSAL, softcap=cap)
    bound = softmax_bounds.attention(q, k, v, value, FP32, scale=scale, softcap=cap)
    scores = operators.attention(q, k, v, CAUSAL).biased
    capped_after = operators.softmax(cap * np.tanh(scores / cap)) @ v
    assert rho(capped_after, value.output, bound.output) > 1000


@pytest.mark.parametrize("change", ["rounding", "tf32", "flush_to_zero"])
def test_weaker_contract_has_wider_bounds(change):
    values = {"rounding": "nearest-even", "flush_to_zero": False, "tf32": False}
    values[change] = "stochastic" if change == "rounding" else True
    types = ["float32"] * 6
    weaker = Contract("weaker", *types, *values.values(), 3.0, 4.0, "")
    strict = Contract("strict", *types, "nearest-even", *[False, False], 3.0, 4.0, "")
    x = X * 1e-20  # products are subnormal in part
    assert (bounds.matmul(x, W.T * 1e-20, weaker) > bounds.matmul(x, W.T * 1e-20, strict)).all()


def test_narrow_intermediates_widen_the_bound_of_attention():
    narrow = attention(contract("bfloat16", intermediate="bfloat16"))[1]
    assert (narrow > attention(BF16)[1]).all()
