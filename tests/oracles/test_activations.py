"""Activations and gated units: true to mpmath and torch; honest forms keep the bound."""

from __future__ import annotations

import dataclasses
import math

import mpmath
import numpy as np
import pytest
import torch
from torch.nn import functional

from conformance.oracles.operators import activations as a
from contracts import contract
from honest import f32, rho

FP32 = contract("float32")
SEEDS = range(40)
NOT_VACUOUS = 0.1
"""The worst honest ratio over all seeds lies above this, or the bound would be loose."""
GPT_OSS = {"alpha": float(f32(1.702)), "limit": 7.0, "offset": 1.0}
TAIL = -np.logspace(-3, math.log10(37), 200)


def exactly(function, x):
    with mpmath.workdps(60):
        return np.array([float(function(mpmath.mpf(float(v)))) for v in x])


def phi(x):
    return x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def tanh_form(x):
    w = mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)
    return x * (1 + mpmath.tanh(w)) / 2


def ulps(observed, value):
    return float(np.max(np.abs(observed - value) / np.spacing(np.abs(value))))


def test_erfc_is_good_to_a_few_ulp_far_into_both_tails():
    x = np.concatenate([TAIL * 0.7, -TAIL * 0.7])
    assert ulps(a.erfc(x), exactly(mpmath.erfc, x)) <= 4


@pytest.mark.parametrize(("function", "truth"), [(a.gelu, phi), (a.gelu_tanh, tanh_form)])
def test_gelu_keeps_its_digits_in_the_negative_tail(function, truth):
    x = TAIL[TAIL > -8]
    # The argument's own rounding is carried to exp(-x^2 / 2), or to the exponential of its cube.
    assert ulps(function(x), exactly(truth, x)) <= 64 + 2 * 64
    assert ulps(function(-x), exactly(truth, -x)) <= 4


def test_functions_equal_torch_in_fp64():
    x = np.random.default_rng(0).normal(size=2000) * 5
    t = torch.from_numpy(x)
    for ours, theirs in (
        (a.sigmoid(x), t.sigmoid()),
        (np.tanh(x), t.tanh()),
        (a.relu(x), t.relu()),
        (a.silu(x), functional.silu(t)),
        (a.gelu(x), functional.gelu(t)),
        (a.gelu_tanh(x), functional.gelu(t, approximate="tanh")),
    ):
        assert np.allclose(ours, theirs.numpy(), rtol=1e-13, atol=1e-15)


def gpt_oss(gate, up, alpha, limit, offset):
    gate, up = gate.clamp(max=limit), up.clamp(min=-limit, max=limit)
    return (up + offset) * (gate * torch.sigmoid(gate * alpha))


def test_gated_units_equal_torch_in_fp64():
    gate, up = (torch.from_numpy(np.random.default_rng(s).normal(size=999) * 8) for s in (0, 1))
    pair = gate.numpy(), up.numpy()
    close = {"rtol": 1e-13, "atol": 1e-13}  # torch's erf cancels in the tail
    assert np.allclose(a.swiglu(*pair), functional.silu(gate) * up, **close)
    assert np.allclose(a.swiglu(*pair, **GPT_OSS), gpt_oss(gate, up, **GPT_OSS), **close)
    for approximate in ("none", "tanh"):
        theirs = functional.gelu(gate, approximate=approximate) * up
        assert np.allclose(a.geglu(*pair, approximate), theirs, **close)


def test_the_two_forms_of_gelu_are_told_apart_by_far_in_the_tail():
    x = np.linspace(-6, -2, 400)
    gap = np.abs(a.gelu(x) - a.gelu_tanh(x)) / np.abs(a.gelu(x))
    assert 0.95 < gap.max() < 1
    for terms in (FP32, contract("bfloat16", "float32"), contract("float16", "float32")):
        assert rho(a.gelu_tanh(x), a.gelu(x), a.gelu_bound(x, terms)) > 40
        assert rho(a.gelu(x), a.gelu_tanh(x), a.gelu_tanh_bound(x, terms)) > 40


def test_relu_rounds_nothing_and_flushes_what_it_claims_to_flush():
    x = np.array([-1.0, 0.0, 2.0**-140, 2.0**-126, 3.0, np.inf, np.nan])
    assert not a.relu_bound(x, FP32).any()
    flushing = dataclasses.replace(FP32, flush_to_zero=True)
    np.testing.assert_array_equal(a.relu_bound(x, flushing), [0, 0, 2.0**-140, 0, 0, 0, 0])


@pytest.mark.parametrize("function", [a.sigmoid, a.relu, a.silu, a.gelu, a.gelu_tanh])
def test_nan_stays_nan_and_infinity_has_its_limit(function):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
    y = function(x)
    assert np.isnan(y[0])
    assert y[1] == (1 if function is a.sigmoid else np.inf)
    assert y[2] == 0
    assert (np.abs(y[3:]) == (0.5 if function is a.sigmoid else 0)).all()


def draw(rng):
    special = [-100, -90, -88, -20, -6, -4, -2, -0.0, 0.0, 2, 6, 20, 88, 100]
    x = rng.normal(size=400) * 10.0 ** rng.uniform(-3, 1.3)
    return np.concatenate([np.array(special), x]).astype(f32)


def sigmoid_forms(x):
    with np.errstate(over="ignore"):
        yield 1 / (1 + np.exp(-x))
        yield 1 / (1 + np.exp2(-x * f32(np.log2(np.e))))
    yield (1 + np.tanh(x / 2)) / 2
    yield torch.from_numpy(x).sigmoid().numpy()


def function_cases(rng):
    """Yield name, honest answer, value and bound."""
    x = draw(rng)
    wide, t = x.astype(np.float64), torch.from_numpy(x)
    for form in sigmoid_forms(x):
        yield "sigmoid", form, a.sigmoid(wide), a.sigmoid_bound(wide, FP32)
        yield "silu", x * form, a.silu(wide), a.silu_bound(wide, FP32)
    for form in sigmoid_forms(f32(1.702) * x):
        alpha = float(f32(1.702))
        yield "swish", x * form, a.silu(wide, alpha), a.silu_bound(wide, FP32, alpha)
    for form in (np.tanh(x), t.tanh().numpy()):
        yield "tanh", form, np.tanh(wide), a.tanh_bound(wide, FP32)
    erf = torch.erf(t * f32(math.sqrt(0.5))).numpy()
    for form in (x * f32(0.5) * (1 + erf), a.gelu(x), functional.gelu(t).numpy()):
        yield "gelu", form, a.gelu(wide), a.gelu_bound(wide, FP32)
    w = f32(math.sqrt(2 / math.pi)) * (x + f32(0.044715) * x * x * x)
    torchs = functional.gelu(t, approximate="tanh").numpy()
    for form in (f32(0.5) * x * (1 + np.tanh(w)), a.gelu_tanh(x), torchs):
        yield "gelu by tanh", form, a.gelu_tanh(wide), a.gelu_tanh_bound(wide, FP32)


def unit_cases(rng):
    gate, up = draw(rng), draw(rng)[::-1].copy()
    pair, tensors = [x.astype(np.float64) for x in (gate, up)], map(torch.from_numpy, (gate, up))
    value, bound = a.swiglu(*pair), a.swiglu_bound(*pair, FP32)
    for form in sigmoid_forms(gate):
        yield "swiglu", gate * form * up, value, bound
        yield "swiglu", gate * (form * up), value, bound
    limits = a.swiglu(*pair, **GPT_OSS), a.swiglu_bound(*pair, FP32, **GPT_OSS)
    yield "gpt-oss", gpt_oss(*tensors, **GPT_OSS).numpy(), *limits
    yield "gpt-oss", a.swiglu(gate, up, **GPT_OSS), *limits
    for approximate in ("none", "tanh"):
        theirs = functional.gelu(torch.from_numpy(gate), approximate=approximate).numpy() * up
        bound = a.geglu_bound(*pair, FP32, approximate)
        yield f"geglu {approximate}", theirs, a.geglu(*pair, approximate), bound


def test_honest_forms_stay_within_a_bound_that_is_not_vacuous():
    worst = {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        for name, observed, value, bound in (*function_cases(rng), *unit_cases(rng)):
            worst[name] = max(worst.get(name, 0), rho(observed, value, bound))
    assert len(worst) == 10
    assert all(NOT_VACUOUS <= ratio <= 1 for ratio in worst.values()), worst


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_narrow_types_round_between_functions_and_not_inside(name):
    dtype, worst = getattr(torch, name), {}
    loose, strict = contract(name), contract(name, "float32")
    for seed in SEEDS:
        x, up = (
            torch.from_numpy(draw(np.random.default_rng(s))).to(dtype) for s in (seed, seed + 1000)
        )
        wide = [t.double().numpy() for t in (x, up)]
        within = {
            "gelu": (functional.gelu(x), a.gelu(wide[0]), a.gelu_bound(wide[0], strict)),
            "swiglu": (functional.silu(x) * up, a.swiglu(*wide), a.swiglu_bound(*wide, loose)),
            "gpt-oss": (
                gpt_oss(x, up, **GPT_OSS),
                a.swiglu(*wide, **GPT_OSS),
                a.swiglu_bound(*wide, loose, **GPT_OSS),
            ),
        }
        for case, (observed, value, bound) in within.items():
            finite = np.isfinite(observed.double().numpy())
            ratio = rho(observed.double().numpy()[finite], value[finite], bound[finite])
            worst[case] = max(worst.get(case, 0), ratio)
    assert all(0.3 <= ratio <= 1 for ratio in worst.values()), worst


GATE, UP = np.random.default_rng(3).normal(size=(2, 2000)) * 6
FAULTS = {
    "tanh": (np.tanh(GATE * (1 + 2**-18)), np.tanh(GATE), a.tanh_bound(GATE, FP32)),
    "alpha": (a.silu(GATE, 1.7), a.silu(GATE, 1.702), a.silu_bound(GATE, FP32, 1.702)),
    "quick": (a.silu(GATE, 1.702), a.gelu(GATE), a.gelu_bound(GATE, FP32)),
    "cubic": (
        GATE / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (GATE + 0.0447 * GATE**3))),
        a.gelu_tanh(GATE),
        a.gelu_tanh_bound(GATE, FP32),
    ),
    "swapped": (a.swiglu(UP, GATE), a.swiglu(GATE, UP), a.swiglu_bound(GATE, UP, FP32)),
    **{
        f"without {name}": (
            a.swiglu(GATE, UP, **{k: v for k, v in GPT_OSS.items() if k != name}),
            a.swiglu(GATE, UP, **GPT_OSS),
            a.swiglu_bound(GATE, UP, FP32, **GPT_OSS),
        )
        for name in GPT_OSS
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_leaves_the_bound(fault):
    assert rho(*FAULTS[fault]) > 2
