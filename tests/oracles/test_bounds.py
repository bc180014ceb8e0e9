"""Every honest implementation stays within the bounds; a one-line fault leaves them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.oracles.operators import (
    activations,
    attention,
    linear,
    losses,
    norms,
    softmax,
)
from contracts import contract
from honest import NOT_VACUOUS, SUMS, draw, f32, forwards, pairwise, rho

FP32 = contract("float32")
SEEDS = range(60)


def fused(a, b):
    """Return a @ b with one rounding for each multiply-add."""
    total = np.zeros((len(a), b.shape[1]), f32)
    for k in range(a.shape[1]):
        step = total.astype(np.float64) + np.multiply.outer(
            a[:, k].astype(np.float64), b[k].astype(np.float64)
        )
        total = step.astype(f32)
    return total


def products(a, b):
    for add in SUMS:
        yield add(a[:, None, :] * b.T[None])
    yield fused(a, b)
    yield a @ b
    yield (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()


def matmul_cases(rng):
    depth = int(rng.choice([1, 2, 7, 64, 129, 500]))
    a, b = draw(rng, 4, depth), draw(rng, depth, 5)
    wide = a.astype(np.float64), b.astype(np.float64)
    for observed in products(a, b):
        yield observed, wide[0] @ wide[1], linear.matmul_bound(*wide, FP32)


def linear_cases(rng):
    x, w, b = draw(rng, 4, 65), draw(rng, 5, 65), draw(rng, 5)
    wide = [t.astype(np.float64) for t in (x, w, b)]
    value, bound = linear.linear(*wide), linear.linear_bound(*wide, FP32)
    for observed in products(x, w.T):
        yield observed + b, value, bound
    yield torch.nn.functional.linear(*map(torch.from_numpy, (x, w, b))).numpy(), value, bound


def product_cases(rng):
    a, b = draw(rng, 6, 7), draw(rng, 6, 7)
    wide = a.astype(np.float64), b.astype(np.float64)
    yield a * b, wide[0] * wide[1], linear.product_bound(*wide, FP32)


def norm_cases(rng):
    size = int(rng.choice([1, 3, 64, 128, 1000]))
    x, w, epsilon = draw(rng, 4, size), draw(rng, size), float(f32(1e-5))
    x[0] = 0
    wide = x.astype(np.float64), w.astype(np.float64)
    value, bound = norms.rms_norm(*wide, epsilon), norms.rms_norm_bound(*wide, epsilon, FP32)
    for add in SUMS:
        root = np.sqrt(add(x * x)[:, None] / f32(size) + f32(epsilon))
        yield x / root * w, value, bound
        yield x * (f32(1) / root) * w, value, bound
        yield x * (w * (f32(1) / root)), value, bound
    tensors = torch.from_numpy(x), (size,), torch.from_numpy(w)
    yield torch.nn.functional.rms_norm(*tensors, epsilon).numpy(), value, bound


def softmaxes(x):
    """Yield softmax of float32 rows: plain, base 2, in one pass, torch."""
    shifted = x - x.max(-1, keepdims=True)
    for add in SUMS:
        e = np.exp(shifted)
        yield e / add(e)[..., None]
    e = np.exp2(shifted * f32(np.log2(np.e)))
    yield e * (f32(1) / pairwise(e)[..., None])
    yield online(x)
    yield torch.softmax(torch.from_numpy(x), -1).numpy()


def online(x, size=4):
    largest = np.full((*x.shape[:-1], 1), np.finfo(f32).min, f32)
    total = np.zeros_like(largest)
    for start in range(0, x.shape[-1], size):
        part = x[..., start : start + size]
        new = np.maximum(largest, part.max(-1, keepdims=True))
        total = total * np.exp(largest - new) + np.exp(part - new).sum(-1, keepdims=True)
        largest = new
    return np.exp(x - largest) / total


def scores(rng):
    x = (rng.normal(size=(4, int(rng.choice([1, 2, 33, 300])))) * rng.choice([0.1, 3, 40])).astype(
        f32
    )
    x = x + f32(rng.choice([0, 1e4, -1e4]))
    if x.shape[-1] > 2:
        x[1, 1:] = -np.inf
        x[2, 0] = x[2].max() + 200
    return x


def softmax_cases(rng):
    x = scores(rng)
    wide = x.astype(np.float64)
    for observed in softmaxes(x):
        yield observed, softmax.softmax(wide), softmax.softmax_bound(wide, FP32)


def log_softmax_cases(rng):
    x = scores(rng)
    wide = x.astype(np.float64)
    value, bound = softmax.log_softmax(wide), softmax.log_softmax_bound(wide, FP32)
    yield softmax.log_softmax(x), value, bound
    yield torch.log_softmax(torch.from_numpy(x), -1).numpy(), value, bound
    largest = x.max(-1, keepdims=True)
    for add in SUMS:
        lse = largest + np.log(add(np.exp(x - largest)))[..., None]
        yield x - lse, value, bound


def activation_inputs(rng):
    special = np.array([-np.inf, -100, -90, -88, -20, -0.0, 0.0, 20, 88, 100], f32)
    return np.concatenate([special, draw(rng, 200) % f32(120)])


def sigmoid_cases(rng):
    x = activation_inputs(rng)
    wide = x.astype(np.float64)
    value, bound = activations.sigmoid(wide), activations.sigmoid_bound(wide, FP32)
    yield activations.sigmoid(x), value, bound
    yield torch.sigmoid(torch.from_numpy(x)).numpy(), value, bound
    with np.errstate(over="ignore"):
        yield 1 / (1 + np.exp(-x)), value, bound
        yield 1 / (1 + np.exp2(-x * f32(np.log2(np.e)))), value, bound


def silu_cases(rng):
    x = activation_inputs(rng)[1:]
    wide = x.astype(np.float64)
    value, bound = activations.silu(wide), activations.silu_bound(wide, FP32)
    yield activations.silu(x), value, bound
    yield torch.nn.functional.silu(torch.from_numpy(x)).numpy(), value, bound
    with np.errstate(over="ignore"):
        yield x / (1 + np.exp(-x)), value, bound
        yield x * (1 / (1 + np.exp2(-x * f32(np.log2(np.e))))), value, bound


def swiglu_cases(rng):
    gate, up = draw(rng, 300) % f32(100), draw(rng, 300)
    wide = gate.astype(np.float64), up.astype(np.float64)
    value, bound = activations.swiglu(*wide), activations.swiglu_bound(*wide, FP32)
    yield activations.swiglu(gate, up), value, bound
    yield gate * (up / (1 + np.exp(-gate))), value, bound


def loss_cases(rng):
    x = (rng.normal(size=(int(rng.choice([1, 9, 100])), 11)) * 5).astype(f32)
    labels = rng.integers(0, 11, size=len(x))
    labels[1::3] = 4
    classes = rng.uniform(0.1, 2, size=11).astype(f32)
    for weight in (None, classes):
        for reduction in ("none", "sum", "mean"):
            arguments = (
                x.astype(np.float64),
                labels,
                None if weight is None else weight.astype(float),
            )
            options = {"ignore_index": 4, "reduction": reduction}
            value = losses.cross_entropy(*arguments, **options)
            bound = losses.cross_entropy_bound(*arguments, FP32, **options)
            yield losses.cross_entropy(x, labels, weight, **options), value, bound
            observed = torch.nn.functional.cross_entropy(
                torch.from_numpy(x),
                torch.from_numpy(labels),
                None if weight is None else torch.from_numpy(weight),
                **options,
            )
            yield observed.numpy(), value, bound


def attention_inputs(rng):
    q, k = (rng.normal(size=s) * rng.choice([0.1, 1, 4]) for s in ((2, 4, 5, 8), (2, 2, 33, 8)))
    v = rng.normal(size=(2, 2, 33, 6))
    bias = attention.mask_bias(attention.causal_mask(5, 33, 20), "float64")
    return tuple(x.astype(f32) for x in (q, k, v, bias))


def attention_truth(q, k, v, bias, softcap=0.0, terms=FP32):
    scale = q.shape[-1] ** -0.5
    wide = [x.astype(np.float64) for x in (q, k, v)]
    value = attention.attention(*wide, bias.astype(np.float64), scale=scale, softcap=softcap)
    return value, attention.attention_bound(*wide, value, terms, scale=scale, softcap=softcap)


def attention_cases(rng):
    q, k, v, bias = attention_inputs(rng)
    value, bound = attention_truth(q, k, v, bias)
    plain = attention.attention(q, k, v, bias)
    for part in ("scores", "biased", "weights", "output"):
        yield getattr(plain, part), getattr(value, part), getattr(bound, part)
    keys, values = (attention.repeat_heads(x, 4) for x in (k, v))
    root = f32((q.shape[-1] ** -0.5) ** 0.5)
    for shown in ((q * root) @ (keys * root).swapaxes(-1, -2), plain.scores):
        for weights in softmaxes(shown + bias):
            yield weights @ values, value.output, bound.output
            yield (
                forwards(weights[:, :, :, None] * values.swapaxes(2, 3)[:, :, None]),
                value.output,
                bound.output,
            )
    tensors = [torch.from_numpy(x) for x in (q, keys, values)]
    observed = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=torch.from_numpy(bias)
    )
    yield observed.numpy(), value.output, bound.output


def softcap_cases(rng):
    q, k, v, bias = attention_inputs(rng)
    value, bound = attention_truth(q, k, v, bias, softcap=5.0)
    observed = attention.attention(q, k, v, bias, softcap=5.0)
    for part in ("capped", "weights", "output"):
        yield getattr(observed, part), getattr(value, part), getattr(bound, part)


CASES = {
    name.removesuffix("_cases"): function
    for name, function in list(globals().items())
    if name.endswith("_cases")
}


@pytest.mark.parametrize("name", CASES)
def test_honest_implementations_stay_within_a_bound_that_is_not_vacuous(name):
    worst = max(rho(*case) for seed in SEEDS for case in CASES[name](np.random.default_rng(seed)))
    assert NOT_VACUOUS <= worst <= 1


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(1000, 2**32), name=st.sampled_from(sorted(CASES)))
def test_honest_implementations_stay_within_the_bound_on_random_cases(seed, name):
    assert all(rho(*case) <= 1 for case in CASES[name](np.random.default_rng(seed)))
