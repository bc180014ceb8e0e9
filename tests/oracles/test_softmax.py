"""Softmax and log-softmax at their ends, and in the narrow types that kernels really keep."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from conformance.oracles.operators import softmax
from contracts import contract
from honest import NOT_VACUOUS, SUMS, f32, rho

FP32 = contract("float32")
SEEDS = range(40)


def exactly(row, *, log=False):
    with mpmath.workdps(60):
        e = [mpmath.exp(mpmath.mpf(float(x))) for x in row]
        total = mpmath.fsum(e)
        return np.array([float(mpmath.log(x / total) if log else x / total) for x in e])


ROWS = {
    "shifted": np.array([1e4, 1e4 + 1, 1e4 - 2]),
    "far down": np.array([-1e4, -1e4 - 3]),
    "equal": np.full(5, 3.0),
    "gap": np.array([0.0, 200.0, 1.0]),
    "one": np.array([-7.0]),
    "tail": -np.linspace(0, 700, 12),
    "tied": np.array([2.0, 5.0, 5.0, 1.0]),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_ends_in_sixty_digits(name):
    row = ROWS[name]
    for ours, log in ((softmax.softmax, False), (softmax.log_softmax, True)):
        truth = exactly(row, log=log)
        assert np.allclose(ours(row), truth, rtol=1e-13, atol=1e-16 if log else 1e-300)


def ends(rng):
    """Return float32 rows of every kind of end."""
    x = (rng.normal(size=(7, int(rng.choice([2, 33, 1500])))) * 3).astype(f32)
    x[0] += f32(1e4)
    x[1] = x[1, :1]
    x[2, 0] = x[2].max() + 200
    x[3] = -np.linspace(0, 110, x.shape[1])
    x[4, 0] = x[4, -1] = x[4].max()
    x[5] *= 1e4
    return x


def softmax_cases(rng):
    x = ends(rng)
    value, bound = softmax.softmax(x.astype(float)), softmax.softmax_bound(x.astype(float), FP32)
    e = np.exp(x - x.max(-1, keepdims=True))
    for add in SUMS:
        yield e / add(e)[..., None], value, bound
        yield e * (f32(1) / add(e))[..., None], value, bound
    yield torch.softmax(torch.from_numpy(x), -1).numpy(), value, bound
    flushed = np.where(e < np.finfo(f32).tiny, f32(0), e)
    yield flushed / flushed.sum(-1, keepdims=True), value, bound


def log_softmax_cases(rng):
    x = ends(rng)
    wide = x.astype(float)
    value, bound = softmax.log_softmax(wide), softmax.log_softmax_bound(wide, FP32)
    largest = x.max(-1, keepdims=True)
    for add in SUMS:
        log_sum = np.log(add(np.exp(x - largest)))[..., None]
        yield (x - largest) - log_sum, value, bound
        yield x - (largest + log_sum), value, bound
    yield torch.log_softmax(torch.from_numpy(x), -1).numpy(), value, bound


CASES = {"softmax": softmax_cases, "log-softmax": log_softmax_cases}


@pytest.mark.parametrize("name", CASES)
def test_honest_implementations_stay_within_a_bound_that_is_not_vacuous(name):
    worst = max(rho(*case) for seed in SEEDS for case in CASES[name](np.random.default_rng(seed)))
    assert NOT_VACUOUS <= worst <= 1


def narrow_rows(name):
    generator = torch.Generator().manual_seed(1)
    wide = torch.randn(3, 257, 5, generator=generator, dtype=torch.float64) * 3
    return wide.to(getattr(torch, name))


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize(
    ("theirs", "ours", "bound"),
    [
        (torch.softmax, softmax.softmax, softmax.softmax_bound),
        (torch.log_softmax, softmax.log_softmax, softmax.log_softmax_bound),
    ],
)
def test_torch_keeps_what_it_claims_in_narrow_types(name, axis, theirs, ours, bound):
    x = narrow_rows(name)
    wide, observed = x.double().numpy(), theirs(x, axis).double().numpy()
    assert rho(observed, ours(wide, axis), bound(wide, contract(name, name), axis)) <= 1


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_a_narrow_exponential_needs_the_claim(name):
    x = narrow_rows(name)
    wide = x.double().numpy()
    e = (x.float() - x.float().amax(1, keepdim=True)).exp()
    rounded = (e.to(x.dtype).float() / e.sum(1, keepdim=True)).to(x.dtype).double().numpy()
    value = softmax.softmax(wide, 1)
    assert rho(rounded, value, softmax.softmax_bound(wide, contract(name, name), 1)) <= 1
    assert rho(rounded, value, softmax.softmax_bound(wide, contract(name, "float32"), 1)) > 1.2


@pytest.mark.parametrize(
    "fault",
    [
        lambda x: np.where(x < x.max(-1, keepdims=True) - 20, 0, softmax.softmax(x)),
        lambda x: softmax.softmax(x) / (1 - softmax.softmax(x)[..., -1:]),
        lambda x: softmax.softmax(x * (1 + 2**-12)),
    ],
    ids=["small ones are zero", "the last one not counted", "temperature"],
)
def test_a_fault_leaves_the_bound(fault):
    x = np.random.default_rng(2).normal(size=(9, 100)) * 8
    x[:, -1] = x.max(-1) - 5
    assert rho(fault(x), softmax.softmax(x), softmax.softmax_bound(x, FP32)) > 2
