"""Products of quantised operands: exact in integers, within the bound where codes are decoded."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch

from conformance.errors import SpecError
from conformance.oracles.operators import quantised
from conformance.oracles.standard import expected
from conformance.records import OWN_DOMAIN, OperatorCall
from contracts import contract
from honest import NOT_VACUOUS, SUMS, f32, rho

FP32 = contract("float32")
SEEDS = range(40)


def integers(rng, name, *shape):
    return rng.integers(0, 256, shape, dtype=np.uint8).view(name)


@pytest.mark.parametrize("zeros", [False, True])
def test_integer_products_are_those_of_torch(zeros):
    rng = np.random.default_rng(0)
    a, b = integers(rng, "uint8", 3, 50), integers(rng, "int8", 50, 4)
    a_zero, b_zero = (integers(rng, "uint8"), integers(rng, "int8", 4)) if zeros else (0, 0)
    moved = [
        torch.from_numpy(np.asarray(x.astype(np.int64) - z))
        for x, z in ((a, np.int64(a_zero)), (b, np.asarray(b_zero, np.int64)))
    ]
    observed = quantised.matmul_integer(a, b, a_zero, b_zero)
    assert observed.dtype == np.int32
    assert np.array_equal(observed, (moved[0] @ moved[1]).numpy())


def test_zero_points_of_rows_are_those_of_a():
    a, b = np.full((2, 3), 7, np.uint8), np.ones((3, 1), np.uint8)
    assert quantised.matmul_integer(a, b, np.array([7, 5], np.uint8)).tolist() == [[0], [6]]


def test_a_sum_beyond_32_bits_wraps():
    depth = 2**31 // 255**2 + 1
    a, b = np.full((1, depth), 255, np.uint8), np.full((depth, 1), 255, np.uint8)
    assert quantised.matmul_integer(a, b)[0, 0] == depth * 255**2 - 2**32


@pytest.mark.parametrize("kind", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_floating_codes_stand_for_what_torch_reads(kind):
    codes = np.arange(256, dtype=np.uint8).view(kind)
    theirs = torch.from_numpy(codes.view(np.uint8)).view(getattr(torch, np.dtype(kind).name))
    decoded = quantised.dequantize(codes, np.array(1.0))
    assert np.array_equal(decoded, theirs.double().numpy(), equal_nan=True)


def test_a_block_has_its_own_scale_and_zero_point():
    codes = np.arange(5, dtype=np.uint8)[:, None]
    scale, zero = np.array([[1.0], [10.0], [100.0]]), np.array([[0], [1], [2]], np.uint8)
    decoded = quantised.dequantize(codes, scale, zero, axis=0, block=2)
    assert decoded[:, 0].tolist() == [0, 1, 10, 20, 200]


def cases(rng, dtype=f32):
    """Yield operands of W8A8 products: codes, scales and zero points by operand."""
    depth = int(rng.choice([1, 7, 64, 129]))
    for name, shape, scales in (("a", (4, depth), (4, 1)), ("b", (depth, 5), (5,))):
        zero = integers(rng, "int8") if rng.integers(2) else np.int8(0)
        scale = rng.uniform(0.001, 0.02, scales).astype(dtype)
        yield name, integers(rng, "int8", *shape), scale, zero


def honest(rng):
    """Yield answers of float32 kernels: operands decoded, or scales applied to exact sums."""
    (_, a, a_scale, a_zero), (_, b, b_scale, b_zero) = cases(rng)
    moved = [x.astype(f32) - f32(z) for x, z in ((a, a_zero), (b, b_zero))]
    exact = [
        m.astype(np.float64) * s.astype(np.float64)
        for m, s in zip(moved, (a_scale, b_scale), strict=True)
    ]
    value = exact[0] @ exact[1]
    bound = quantised.decoded_product_bound(*exact, FP32, decoded=2)
    decoded = moved[0] * a_scale, moved[1] * b_scale
    for add in SUMS:
        yield add(decoded[0][:, None, :] * decoded[1].T[None]), value, bound
    total = quantised.matmul_integer(a, b, a_zero, b_zero).astype(f32)
    yield total * a_scale * b_scale, value, bound
    yield total * (a_scale * b_scale), value, bound


def test_honest_kernels_stay_within_a_bound_that_is_not_vacuous():
    worst = max(rho(*case) for seed in SEEDS for case in honest(np.random.default_rng(seed)))
    assert NOT_VACUOUS <= worst <= 1


def weights(dtype=np.float64):
    rng = np.random.default_rng(4)
    inputs = {
        "A": np.abs(rng.normal(size=(3, 64))).astype(dtype),
        "B": rng.integers(0, 16, (64, 4)).astype(np.uint8),
        "b_scale": rng.uniform(0.01, 0.1, (2, 4)).astype(dtype),
        "b_zero_point": rng.integers(1, 15, (2, 4)).astype(np.uint8),
    }
    attributes = {"block_size": 32, "code_type": quantised.UINT4}
    return OperatorCall("QuantizedWeightMatMul", 23, inputs, attributes, domain=OWN_DOMAIN)


FAULTS = {
    "zero point one more": {"b_zero_point": lambda x: x + np.uint8(1)},
    "zero point one less": {"b_zero_point": lambda x: x - np.uint8(1)},
    "blocks swapped": {"b_scale": lambda x: x[::-1]},
    "neighbouring codes swapped": {"B": lambda x: x.reshape(-1, 2, 4)[:, ::-1].reshape(x.shape)},
}


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_the_bound_of_every_precision(fault, name):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    call = weights(dtype)
    wanted = expected(call, contract(name, "float32"))["Y"]
    changed = {key: change(call.inputs[key]) for key, change in FAULTS[fault].items()}
    faulty = OperatorCall(
        call.operator, 23, {**call.inputs, **changed}, call.attributes, domain=OWN_DOMAIN
    )
    other = expected(faulty, contract(name, "float32"))["Y"].value
    assert rho(other.astype(dtype).astype(np.float64), wanted.value, wanted.bound) > 5


def test_operands_decoded_in_16_bits_need_the_contract_that_allows_it():
    call = weights(np.float16)
    a, scale = (torch.from_numpy(call.inputs[n]) for n in ("A", "b_scale"))
    codes, zero = (torch.from_numpy(call.inputs[n]).half() for n in ("B", "b_zero_point"))
    decoded = (codes - zero.repeat_interleave(32, 0)) * scale.repeat_interleave(32, 0)
    observed = (a @ decoded).numpy().astype(np.float64)
    loose, strict = (
        rho(observed, wanted.value, wanted.bound)
        for inner in ("float16", "float32")
        for wanted in [expected(call, contract("float16", inner))["Y"]]
    )
    assert loose <= 1 < strict


def test_a_code_that_four_bits_do_not_hold_is_a_fault_of_the_suite():
    call = weights()
    call.inputs["B"][0, 0] = 16
    with pytest.raises(SpecError, match=r"0\.\.16; their type allows 0\.\.15"):
        expected(call, contract("float64"))
