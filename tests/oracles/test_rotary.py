"""Rotary position embedding: honest rotations stay within the bound, faulty ones leave it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conformance import precision
from conformance.oracles.operators import rotary
from conformance.oracles.standard import expected
from conformance.records import OperatorCall
from contracts import contract

FP32 = contract("float32")
SEEDS = range(60)


def rho(observed, value, bound):
    error = np.abs(np.asarray(observed, dtype=np.float64) - value)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.where(error == 0, 0.0, error / bound).max(initial=0.0))


def drawn(seed, dtype="float32"):
    """Return X (B, H, T, K) with 3 pairs and two channels more, cosines and sines (B, T, R)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, 5, 8)) * 10.0 ** rng.uniform(-3, 3)
    angle = rng.uniform(-100, 100, size=(2, 5, 3))
    return [part.astype(precision.dtype(dtype)) for part in (x, np.cos(angle), np.sin(angle))]


def wide(*arrays):
    return [array.astype(np.float64) for array in arrays]


def honest(x, cos, sin):
    """Yield rotations by halves: as written, as x cos + turned(x) sin, fused, as complex numbers.

    The two channels behind the turned ones are left out of all.
    """
    yield rotary.rotary(x, cos, sin)[..., :6]
    a, b, c, s = x[..., :3], x[..., 3:6], cos[:, None], sin[:, None]
    turned = np.concatenate([-b, a], axis=-1)
    both = np.concatenate([c, c], axis=-1), np.concatenate([s, s], axis=-1)
    yield np.concatenate([a, b], axis=-1) * both[0] + turned * both[1]
    product = (-b * s).astype(np.float64), (a * s).astype(np.float64)
    fused = [p + q * np.float64(1) * w for p, q, w in zip(product, wide(a, b), [c, c], strict=True)]
    yield np.concatenate(fused, axis=-1).astype(x.dtype)
    tensors = [torch.from_numpy(np.ascontiguousarray(part)) for part in (a, b, c, s)]
    y = torch.complex(*tensors[:2]) * torch.complex(*(t.expand_as(tensors[0]) for t in tensors[2:]))
    yield torch.cat([y.real, y.imag], dim=-1).numpy()


def test_honest_rotations_stay_within_a_bound_that_is_not_vacuous():
    worst = 0.0
    for seed in SEEDS:
        parts = drawn(seed)
        value = rotary.rotary(*wide(*parts))[..., :6]
        bound = rotary.rotary_bound(*wide(*parts), FP32)[..., :6]
        worst = max(worst, *(rho(y, value, bound) for y in honest(*parts)))
    assert 0.5 <= worst <= 1


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("interleaved", [False, True])
def test_narrow_rotations_that_round_every_product_stay_within_their_contract(name, interleaved):
    worst = {"narrow": 0.0, "wide": 0.0}
    for seed in SEEDS:
        parts = drawn(seed, name)
        observed = rotary.rotary(*parts, interleaved=interleaved)
        value = rotary.rotary(*wide(*parts), interleaved=interleaved)
        for word, inner in (("narrow", name), ("wide", "float32")):
            terms = contract(name, inner)
            bound = rotary.rotary_bound(*wide(*parts), terms, interleaved=interleaved)
            worst[word] = max(worst[word], rho(observed, value, bound))
    assert 0.3 <= worst["narrow"] <= 1
    assert worst["wide"] > 2, "products rounded to the type need the contract that allows them"


def test_subnormal_products_stay_within_the_bound():
    x, cos, sin = drawn(0)
    x = (x * np.float32(1e-41)).astype(np.float32)
    parts = wide(x, cos, sin)
    bound = rotary.rotary_bound(*parts, FP32)
    assert rho(rotary.rotary(x, cos, sin), rotary.rotary(*parts), bound) <= 1


@pytest.mark.parametrize("interleaved", [0, 1])
def test_nan_and_infinity_stay_in_their_pair(interleaved):
    x, cos, sin = drawn(1)
    x = x[..., :6].copy()
    x[0, 0, 0, 1], x[1, 2, 4, 5] = np.nan, np.inf
    call = OperatorCall(
        "RotaryEmbedding",
        23,
        {"X": x, "cos_cache": cos, "sin_cache": sin},
        {"interleaved": interleaved},
    )
    y = expected(call, FP32)["Y"]
    pairs = {0: ((1, 4), (2, 5)), 1: ((0, 1), (4, 5))}[interleaved]
    spoilt = np.zeros(x.shape, dtype=bool)
    spoilt[0, 0, 0, pairs[0]], spoilt[1, 2, 4, pairs[1]] = True, True
    assert np.array_equal(~np.isfinite(y.value), spoilt)
    assert (y.bound[spoilt] == 0).all()
    assert (y.bound[~spoilt] > 0).all()


def test_one_head_of_three_dimensions_is_one_of_four():
    x, cos, sin = drawn(2)
    tables = {"cos_cache": cos, "sin_cache": sin}
    attributes = {"rotary_embedding_dim": 6}
    apart = OperatorCall("RotaryEmbedding", 23, {"X": x, **tables}, attributes)
    flat = np.ascontiguousarray(x.swapaxes(1, 2)).reshape(2, 5, 24)
    together = OperatorCall(
        "RotaryEmbedding", 23, {"X": flat, **tables}, {**attributes, "num_heads": 3}
    )
    one, other = (expected(call, FP32)["Y"] for call in (apart, together))
    assert np.array_equal(one.value.swapaxes(1, 2).reshape(2, 5, 24), other.value)
    assert np.array_equal(one.value[..., 6:], x[..., 6:])
    assert (one.bound[..., 6:] == 0).all()


FAULTS = {
    "pairs": lambda x, cos, sin: rotary.rotary(x, cos, sin, interleaved=True),
    "sign": lambda x, cos, sin: rotary.rotary(x, cos, -sin),
    "row": lambda x, cos, sin: rotary.rotary(x, cos[::-1], sin[::-1]),
    "angle": lambda x, cos, sin: rotary.rotary(x, cos - 1e-6 * sin, sin + 1e-6 * cos),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_the_bound(fault):
    parts = wide(*drawn(3))
    bound = rotary.rotary_bound(*parts, FP32)
    assert rho(FAULTS[fault](*parts), rotary.rotary(*parts), bound) > 2
