"""RMSNorm, Gemma's RMSNorm and LayerNorm: equal to torch and mpmath; honest kernels keep bounds."""

from __future__ import annotations

import ml_dtypes
import mpmath
import numpy as np
import pytest
import torch

from conformance.errors import SpecError
from conformance.oracles.operators import norms
from conformance.oracles.standard import expected
from conformance.records import OperatorCall
from contracts import contract
from honest import NOT_VACUOUS, SUMS, draw, f32, rho

FP32 = contract("float32")
SEEDS = range(40)
EPSILON = float(f32(1e-5))


def wide(*arrays):
    return [x.astype(np.float64) for x in arrays]


def inputs(rng, shift=0.0):
    width = int(rng.choice([1, 3, 64, 128, 1000]))
    x, weight, bias = draw(rng, 4, width), draw(rng, width), draw(rng, width)
    x[0] = 0
    return (x + f32(shift) * x.std(axis=-1, keepdims=True)).astype(f32), weight, bias


def test_layer_norm_is_that_of_torch_in_fp64():
    rng = np.random.default_rng(0)
    x, weight, bias = wide(*inputs(rng))
    theirs = torch.nn.functional.layer_norm(
        *map(torch.from_numpy, (x,)), weight.shape, *map(torch.from_numpy, (weight, bias)), EPSILON
    )
    ours = norms.layer_norm(x, weight, bias, EPSILON)
    assert np.allclose(ours.y, theirs.numpy(), rtol=1e-12, atol=1e-14)
    assert np.array_equal(ours.mean, x.mean(axis=-1, keepdims=True))


def test_norms_are_those_of_fifty_digits():
    x, w, b = [[3.0, -1.5, 0.25, 1e-3]], [1.0, -2.0, 0.5, 7.0], [0.0, 1.0, -1.0, 2.0]
    with mpmath.workdps(50):
        row = [mpmath.mpf(v) for v in x[0]]
        square = mpmath.fsum(v * v for v in row) / 4
        mean = mpmath.fsum(row) / 4
        variance = mpmath.fsum((v - mean) ** 2 for v in row) / 4
        gemma = [v / mpmath.sqrt(square + EPSILON) * (1 + s) for v, s in zip(row, w, strict=True)]
        centred = [
            (v - mean) / mpmath.sqrt(variance + EPSILON) * s + t
            for v, s, t in zip(row, w, b, strict=True)
        ]
    x, w, b = map(np.array, (x, w, b))
    assert np.allclose(norms.offset_rms_norm(x, w, EPSILON)[0], np.array(gemma, float), rtol=1e-14)
    assert np.allclose(
        norms.layer_norm(x, w, b, EPSILON).y[0], np.array(centred, float), rtol=1e-14
    )


def offset_cases(rng):
    """Yield honest float32 answers of Gemma's norm, over several orders of summation."""
    x, weight, _ = inputs(rng)
    value = norms.offset_rms_norm(*wide(x, weight), EPSILON)
    bound = norms.offset_rms_norm_bound(*wide(x, weight), EPSILON, FP32)
    for add in SUMS:
        root = np.sqrt(add(x * x)[:, None] / f32(x.shape[-1]) + f32(EPSILON))
        yield x / root * (1 + weight), value, bound
        yield x * (f32(1) / root) * (1 + weight), value, bound
        yield x * ((f32(1) / root) * (1 + weight)), value, bound


def welford(x):
    """Return mean and variance of float32 rows in one pass that updates both."""
    mean, total = np.zeros((len(x), 1), f32), np.zeros((len(x), 1), f32)
    for i in range(x.shape[-1]):
        step = x[:, i : i + 1] - mean
        mean = mean + step / f32(i + 1)
        total = total + step * (x[:, i : i + 1] - mean)
    return mean, total / f32(x.shape[-1])


def layer_cases(rng, shift=0.0):
    """Yield honest float32 answers of LayerNorm: two passes, Welford, x / s - mean / s, torch."""
    x, weight, bias = inputs(rng, shift)
    value = norms.layer_norm(*wide(x, weight, bias), EPSILON)
    bound = norms.layer_norm_bound(*wide(x, weight, bias), EPSILON, FP32)
    count = f32(x.shape[-1])
    moments = [welford(x)]
    for add in SUMS:
        mean = add(x)[:, None] / count
        moments.append((mean, add((x - mean) * (x - mean))[:, None] / count))
    for mean, variance in moments:
        inverse = f32(1) / np.sqrt(variance + f32(EPSILON))
        yield (x - mean) * inverse * weight + bias, value.y, bound.y
        yield (x * inverse - mean * inverse) * weight + bias, value.y, bound.y
        yield mean, value.mean, bound.mean
        yield inverse, value.inverse, bound.inverse
    tensors = [torch.from_numpy(t) for t in (weight, bias)]
    theirs = torch.nn.functional.layer_norm(torch.from_numpy(x), weight.shape, *tensors, EPSILON)
    yield theirs.numpy(), value.y, bound.y


def test_honest_gemma_norms_stay_within_a_bound_that_is_not_vacuous():
    worst = max(rho(*case) for seed in SEEDS for case in offset_cases(np.random.default_rng(seed)))
    assert NOT_VACUOUS <= worst <= 1


@pytest.mark.parametrize("shift", [0.0, 3.0, 1000.0])
def test_honest_layer_norms_stay_within_a_bound_that_is_not_vacuous(shift):
    rngs = (np.random.default_rng(seed) for seed in SEEDS)
    worst = max(rho(*case) for rng in rngs for case in layer_cases(rng, shift))
    assert NOT_VACUOUS <= worst <= 1


def one_pass(x, weight, bias):
    mean = x.mean(axis=-1, keepdims=True)
    variance = (x * x).mean(axis=-1, keepdims=True) - mean * mean
    return (x - mean) / np.sqrt(np.maximum(variance, 0) + f32(EPSILON)) * weight + bias


def test_a_variance_that_is_a_difference_of_means_leaves_the_bound():
    rng = np.random.default_rng(5)
    x = (rng.normal(size=(8, 64)) + 1000).astype(f32)
    weight, bias = np.ones(64, f32), np.zeros(64, f32)
    value = norms.layer_norm(*wide(x, weight, bias), EPSILON).y
    bound = norms.layer_norm_bound(*wide(x, weight, bias), EPSILON, FP32).y
    assert rho(one_pass(x, weight, bias), value, bound) > 5


NORMAL = np.random.default_rng(6).normal(size=(4, 64))
WEIGHT, BIAS = np.random.default_rng(7).normal(size=(2, 64))
LAYER_FAULTS = {
    "no mean": (NORMAL, norms.rms_norm(NORMAL, WEIGHT, EPSILON) + BIAS),
    "no bias": (NORMAL, norms.layer_norm(NORMAL, WEIGHT, np.zeros(64), EPSILON).y),
    "another epsilon": (NORMAL / 1e3, norms.layer_norm(NORMAL / 1e3, WEIGHT, BIAS, 1e-6).y),
}


@pytest.mark.parametrize("fault", LAYER_FAULTS)
def test_a_fault_of_layer_norm_leaves_its_bound(fault):
    x, faulty = LAYER_FAULTS[fault]
    value = norms.layer_norm(x, WEIGHT, BIAS, EPSILON).y
    assert rho(faulty, value, norms.layer_norm_bound(x, WEIGHT, BIAS, EPSILON, FP32).y) > 5


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_the_cast_before_the_scale_is_llamas_and_not_gemmas(name):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    x, weight = (t.astype(dtype) for t in (NORMAL, WEIGHT))
    terms = contract(name, "float32")
    normal = norms.rms_normalize(*wide(x), EPSILON)
    cast = normal.astype(dtype).astype(np.float64)
    scale, offset = weight.astype(np.float64), 1 + weight.astype(np.float64)
    judged = [
        (cast * scale, normal * scale, norms.rms_norm_bound(*wide(x, weight), EPSILON, terms)),
        (
            cast * offset,
            normal * offset,
            norms.offset_rms_norm_bound(*wide(x, weight), EPSILON, terms),
        ),
    ]
    llama, gemma = (rho(y.astype(dtype).astype(np.float64), v, b) for y, v, b in judged)
    assert llama <= 1
    assert gemma > 1.5


def test_mean_and_deviation_come_in_float32():
    x = NORMAL.astype(np.float16)
    inputs = {"X": x, "Scale": np.ones(64, np.float16)}
    call = OperatorCall("LayerNormalization", 17, inputs, {}, ("Y", "Mean", "InvStdDev"))
    answers = expected(call, contract("float16"))
    assert [answers[name].dtype for name in call.outputs] == ["float16", "float32", "float32"]
    assert answers["Mean"].value.shape == (4, 1)


def test_a_stash_type_of_16_bits_is_refused():
    call = OperatorCall("RMSNormalization", 23, {"X": NORMAL, "scale": WEIGHT}, {"stash_type": 16})
    with pytest.raises(SpecError, match="stash_type 16"):
        expected(call, FP32)
