"""Products of matrices and Gemm: equal to torch and mpmath; honest sums keep the bound."""

from __future__ import annotations

import ml_dtypes
import mpmath
import numpy as np
import pytest
import torch

from conformance.oracles.operators import linear
from contracts import contract
from honest import NOT_VACUOUS, SUMS, draw, f32, rho

FP32 = contract("float32")
SEEDS = range(40)
SHAPES = {"row": (5,), "column": (4, 1), "scalar": (), "full": (4, 5)}


def wide(*arrays):
    return [x.astype(np.float64) for x in arrays]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_gemm_is_that_of_torch_in_fp64(shape):
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(4, 7)), rng.normal(size=(7, 5)), rng.normal(size=shape)
    theirs = torch.addmm(*map(torch.from_numpy, (np.asarray(c), a, b)), alpha=0.3, beta=-2.0)
    assert np.allclose(linear.gemm(a, b, c, 0.3, -2.0), theirs.numpy(), rtol=1e-14)


def test_a_product_is_that_of_fifty_digits():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, 40)), rng.normal(size=(40, 2))
    with mpmath.workdps(50):
        exact = mpmath.matrix(a.tolist()) * mpmath.matrix(b.tolist())
        error = np.array((mpmath.matrix(linear.matmul(a, b).tolist()) - exact).tolist(), float)
    bound = linear.matmul_bound(a, b, contract("float64", accumulation="float64"))
    assert (np.abs(error) <= bound).all()


def gemms(rng, alpha, beta):
    """Yield honest answers: scaled before or after, C added last or in the accumulator."""
    depth = int(rng.choice([1, 2, 7, 64, 129, 500]))
    a, b = draw(rng, 4, depth), draw(rng, depth, 5)
    c = np.asarray(10.0 ** rng.uniform(-3, 2) * rng.normal(size=SHAPES[rng.choice([*SHAPES])]), f32)
    exact, terms = (*wide(a, b, c), alpha, beta), a[:, None, :] * b.T[None]
    value = linear.gemm(*exact)
    bound = linear.gemm_bound(*exact[:3], FP32, alpha, beta)
    start = np.broadcast_to(f32(beta) * c, value.shape)[..., None]
    for add in SUMS:
        yield f32(alpha) * add(terms) + f32(beta) * c, value, bound
        yield add(terms * f32(alpha)) + f32(beta) * c, value, bound
        yield add(np.concatenate([start, terms * f32(alpha)], axis=-1)), value, bound
    tensors = map(torch.from_numpy, (np.asarray(c), a, b))
    yield torch.addmm(*tensors, alpha=alpha, beta=beta).numpy(), value, bound


@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.75, -3.0)])
def test_honest_gemms_stay_within_a_bound_that_is_not_vacuous(factors):
    worst = max(rho(*g) for seed in SEEDS for g in gemms(np.random.default_rng(seed), *factors))
    assert NOT_VACUOUS <= worst <= 1


FAULTS = {
    "bias dropped": lambda a, b, _: linear.gemm(a, b, None, 0.75),
    "beta dropped": lambda a, b, c: linear.gemm(a, b, c, 0.75),
    "alpha scales all": lambda a, b, c: linear.gemm(a, b, c, 0.75, 0.75 * 3),
    "last term dropped": lambda a, b, c: linear.gemm(a[:, :-1], b[:-1], c, 0.75, 3),
    "one of 2**14 off": lambda a, b, c: linear.gemm(a, b, c, 0.75, 3) * (1 + 2**-14),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_gemm_leaves_its_bound(fault):
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(size=(4, 64)), rng.normal(size=(64, 5)), rng.normal(size=5)
    bound = linear.gemm_bound(a, b, c, FP32, 0.75, 3)
    assert rho(FAULTS[fault](a, b, c), linear.gemm(a, b, c, 0.75, 3), bound) > 5


def deep_products(rng, depth):
    a, b = (rng.normal(size=s).astype(f32) for s in ((2, depth), (depth, 3)))
    if rng.integers(2):  # what cancels
        half = depth // 2
        a[:, half : 2 * half], b[half : 2 * half] = a[:, :half], -b[:half]
    value, bound = linear.matmul(*wide(a, b)), linear.matmul_bound(*wide(a, b), FP32)
    for add in SUMS:
        yield add(a[:, None, :] * b.T[None]), value, bound


@pytest.mark.parametrize("depth", [4096, 14336])
def test_deep_sums_in_any_order_stay_within_the_bound(depth):
    cases = (c for seed in range(6) for c in deep_products(np.random.default_rng(seed), depth))
    assert max(rho(*case) for case in cases) <= 1


def rounded_to(x, bits):
    """Return float32 numbers rounded to nearest even with ``bits`` bits."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits).astype(f32)


def ratios(bits, terms):
    found = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        depth = int(rng.choice([2, 7, 64, 129, 500]))
        a, b = draw(rng, 4, depth), draw(rng, depth, 5)
        value, bound = linear.matmul(*wide(a, b)), linear.matmul_bound(*wide(a, b), terms)
        narrow = rounded_to(a, bits), rounded_to(b, bits)
        found += [rho(add(narrow[0][:, None] * narrow[1].T), value, bound) for add in SUMS]
    return found


def test_tf32_needs_the_contract_that_allows_it():
    tf32 = contract("float32", tf32=True)
    assert NOT_VACUOUS <= max(ratios(11, tf32)) <= 1
    assert max(ratios(11, FP32)) > 100
    assert max(ratios(8, tf32)) > 2  # bfloat16 is not TF32


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_a_result_cut_off_leaves_the_bound_of_a_rounded_one(name):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    rng = np.random.default_rng(3)
    a, b = (rng.normal(size=s).astype(dtype) for s in ((40, 64), (64, 40)))
    value = linear.matmul(*wide(a, b))
    bound = linear.matmul_bound(*wide(a, b), contract(name, "float32"))
    nearest = value.astype(dtype)
    beyond = np.abs(nearest.astype(np.float64)) > np.abs(value)
    cut = np.where(beyond, np.nextafter(nearest, dtype.type(0)), nearest)
    assert 0.5 < rho(nearest.astype(np.float64), value, bound) <= 1
    assert rho(cut.astype(np.float64), value, bound) > 1.5


def test_a_special_factor_spoils_its_own_row_alone():
    a, b = np.ones((3, 4)), np.ones((4, 2))
    a[0, 1], a[1, 2] = np.nan, np.inf
    value, bound = linear.matmul(a, b), linear.matmul_bound(a, b, FP32)
    assert np.isnan(value[0]).all()
    assert np.isposinf(value[1]).all()
    assert np.array_equal(value[2], [4, 4])
    assert np.isfinite(bound).all()
    assert (bound[:2] == 0).all()
