"""Squared error and divergence: true to torch and mpmath; honest forms keep the bound."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from torch.nn import functional

from conformance.oracles.operators import distances as d
from contracts import contract
from honest import SUMS, f32, rho

FP32 = contract("float32")
SEEDS = range(60)
NOT_VACUOUS = 0.1


def pair(rng, apart=1.0, scale=3.0):
    rows, classes = int(rng.choice([1, 4, 9])), int(rng.choice([1, 2, 17, 300]))
    one = (rng.normal(size=(rows, classes)) * scale).astype(f32)
    return one, (one + rng.normal(size=one.shape) * apart).astype(f32)


def wide(*arrays):
    return tuple(x.astype(np.float64) for x in arrays)


def theirs(p, q):
    log_p, log_q = (torch.log_softmax(torch.from_numpy(x), -1) for x in (p, q))
    return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True).numpy()


def test_both_equal_torch_in_fp64():
    for seed in SEEDS:
        one, other = wide(*pair(np.random.default_rng(seed)))
        squared = functional.mse_loss(torch.from_numpy(one), torch.from_numpy(other)).item()
        assert d.mean_squared_error(one, other) == pytest.approx(squared, rel=1e-13)
        assert d.kl_divergence(one, other) == pytest.approx(theirs(one, other), abs=1e-13)


def test_divergence_equals_mpmath_on_a_small_case():
    p, q = [0.5, -1.0, 3.0], [1.0, 1.5, -2.0]
    with mpmath.workdps(40):
        z_p, z_q = (mpmath.fsum(map(mpmath.exp, x)) for x in (p, q))
        terms = (
            mpmath.exp(a) / z_p * (a - b + mpmath.log(z_q / z_p)) for a, b in zip(p, q, strict=True)
        )
        exact = float(mpmath.fsum(terms))
    assert d.kl_divergence(np.array([p]), np.array([q])) == pytest.approx(exact, rel=1e-14)


def test_classes_without_probability_add_nothing_or_infinity():
    p, q = np.array([[0.0, 1.0, -np.inf]]), np.array([[0.0, 1.0, 2.0]])
    assert np.isfinite(d.kl_divergence(p, q))
    assert d.kl_divergence(p, p) == 0
    assert d.kl_divergence(q, p) == np.inf
    assert d.kl_divergence_bound(q, p, FP32) == 0


def log_softmax(x, add, off=0.0):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(add(coarse_exp(shifted, off)))[:, None]


def coarse_exp(x, off):
    """Return an exponential that is off by a share: up to 2 ulp are honest."""
    return (np.exp(x.astype(np.float64)) * (1 + off)).astype(f32)


def divergences(p, q):
    """Yield float32 divergences: p by softmax or by exp, sums in several orders."""
    for off in (0.0, 3 * 2.0**-24):
        for add in SUMS:
            log_p, log_q = log_softmax(p, add, off), log_softmax(q, add, -off)
            e = coarse_exp(p - p.max(-1, keepdims=True), off)
            for shares in (coarse_exp(log_p, off), e / add(e)[:, None]):
                yield add(add(shares * (log_p - log_q))) / f32(len(p))
    yield theirs(p, q)


def cases(rng):
    one, other = pair(rng, apart=rng.choice([0.0, 0.01, 1.0, 5.0]))
    both = wide(one, other)
    squared, bound = d.mean_squared_error(*both), d.mean_squared_error_bound(*both, FP32)
    for add in SUMS:
        difference = one - other
        yield "squared", add((difference * difference).reshape(-1)) / f32(one.size), squared, bound
    answer = functional.mse_loss(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    yield "squared", answer, squared, bound
    value, bound = d.kl_divergence(*both), d.kl_divergence_bound(*both, FP32)
    for form in divergences(one, other):
        yield "divergence", form, value, bound


def test_honest_forms_stay_within_a_bound_that_is_not_vacuous():
    worst = {}
    for seed in SEEDS:
        for name, observed, value, bound in cases(np.random.default_rng(seed)):
            worst[name] = max(worst.get(name, 0), rho(observed, value, bound))
    assert len(worst) == 2
    assert all(NOT_VACUOUS <= ratio <= 1 for ratio in worst.values()), worst


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_narrow_intermediates_need_the_contract_that_allows_them(name):
    worst = {name: 0.0, "float32": 0.0}
    for seed in SEEDS:
        p, q = (
            torch.from_numpy(x).to(getattr(torch, name)) for x in pair(np.random.default_rng(seed))
        )
        both = p.double().numpy(), q.double().numpy()
        observed = functional.mse_loss(p, q).double().numpy()
        log_p, log_q = torch.log_softmax(p, -1), torch.log_softmax(q, -1)
        divergence = functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
        for inner in (name, "float32"):
            terms = contract(name, inner)
            ratios = (
                rho(
                    observed, d.mean_squared_error(*both), d.mean_squared_error_bound(*both, terms)
                ),
                rho(
                    divergence.double().numpy(),
                    d.kl_divergence(*both),
                    d.kl_divergence_bound(*both, terms),
                ),
            )
            worst[inner] = max(worst[inner], *ratios)
    assert worst[name] <= 1 < worst["float32"]


P, Q = wide(*pair(np.random.default_rng(4)))


@pytest.mark.parametrize(
    ("fault", "value", "bound"),
    [
        (d.kl_divergence(Q, P), d.kl_divergence(P, Q), d.kl_divergence_bound(P, Q, FP32)),
        (d.kl_divergence(P, P) + 1e-4, d.kl_divergence(P, P), d.kl_divergence_bound(P, P, FP32)),
        (
            d.mean_squared_error(P, Q) * (1 + 2**-12),
            d.mean_squared_error(P, Q),
            d.mean_squared_error_bound(P, Q, FP32),
        ),
    ],
    ids=["arguments swapped", "never 0", "one part in 4096"],
)
def test_fault_leaves_the_bound(fault, value, bound):
    assert rho(fault, value, bound) > 2
