"""Adapters answer products, quantised products and norms as the oracle does, whatever the call."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from conformance import spec
from conformance.adapters import _torch
from conformance.errors import Unsupported
from conformance.oracles import standard
from conformance.records import OWN_DOMAIN, OperatorCall

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def codes(kind, *shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8).view(kind)


def scales(*shape):
    return RNG.uniform(0.01, 0.1, shape).astype(np.float32)


SQUARE = {"A": normal(4, 4), "B": normal(4, 4), "C": normal(4)}
FLOAT8 = {
    "A": normal(3, 8).astype(ml_dtypes.float8_e4m3fn),
    "B": normal(8, 4).astype(ml_dtypes.float8_e5m2),
}
WEIGHTS = {"A": normal(3, 64), "b_scale": scales(2, 4)}
UINT4 = {
    "B": codes("uint8", 64, 4) % np.uint8(16),
    "b_zero_point": codes("uint8", 2, 4) % np.uint8(16),
}
ROW = {"X": normal(2, 3, 8), "scale": normal(8)}
CALLS = {
    "gemm": ("Gemm", SQUARE, {"alpha": 0.5, "beta": -2.0, "transA": 1}),
    "gemm without c": ("Gemm", {n: SQUARE[n] for n in "AB"}, {"alpha": 0.5, "transB": 1}),
    "integers": ("MatMulInteger", {"A": codes("uint8", 3, 9), "B": codes("int8", 9, 4)}, {}),
    "integers with zero points": (
        "MatMulInteger",
        {
            "A": codes("uint8", 3, 9),
            "B": codes("uint8", 9, 4),
            "a_zero_point": codes("uint8"),
            "b_zero_point": codes("uint8", 4),
        },
        {},
    ),
    "codes": (
        "QuantizedMatMul",
        {
            "A": codes("int8", 3, 9),
            "B": codes("int8", 9, 4),
            "a_scale": scales(3),
            "b_scale": scales(4),
            "b_zero_point": codes("int8", 4),
        },
        {},
    ),
    "float8": ("QuantizedMatMul", {**FLOAT8, "a_scale": scales(), "b_scale": scales(4)}, {}),
    "uint4": ("QuantizedWeightMatMul", {**WEIGHTS, **UINT4}, {"block_size": 32, "code_type": 21}),
    "int4": (
        "QuantizedWeightMatMul",
        {**WEIGHTS, "B": codes("int8", 64, 4) // np.int8(16)},
        {"block_size": 32, "code_type": 22},
    ),
    "int8": (
        "QuantizedWeightMatMul",
        {"A": normal(3, 9), "B": codes("int8", 9, 4), "b_scale": scales(4)},
        {},
    ),
    "offset": ("OffsetRMSNormalization", ROW, {"epsilon": 1e-6}),
    "offset over two axes": ("OffsetRMSNormalization", ROW, {"axis": 1}),
    "layer": ("LayerNormalization", {"X": ROW["X"], "Scale": ROW["scale"], "B": normal(8)}, {}),
    "layer without bias": ("LayerNormalization", {"X": ROW["X"], "Scale": ROW["scale"]}, {}),
}
OPSETS = {"Gemm": 13, "MatMulInteger": 10, "LayerNormalization": 17}


def call_of(case):
    operator, inputs, attributes = CALLS[case]
    domain = "" if operator in OPSETS else OWN_DOMAIN
    return OperatorCall(operator, OPSETS.get(operator, 23), inputs, attributes, domain=domain)


@pytest.mark.parametrize("case", CALLS)
def test_an_adapter_answers_what_the_oracle_answers(candidate, case):
    if "operators" not in candidate.info.claims.capabilities:
        pytest.skip("claims no operators")
    call = call_of(case)
    if candidate.info.name == "openvino" and case == "int4":
        with pytest.raises(Unsupported):  # OpenVINO 2026.4: blocks without zero points
            candidate.operator(call)
        return
    truth = standard.expected(call, spec.load().contracts["fp32"])["Y"]
    observed = candidate.operator(call)["Y"]
    assert observed.dtype.name == truth.dtype
    assert (np.abs(observed.astype(np.float64) - truth.value) <= truth.bound).all()


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
@pytest.mark.parametrize("layout", ["plain", "transposed", "spaced", "reversed", "repeated"])
def test_torch_meets_the_layout_that_the_check_made(dtype, layout):
    torch = pytest.importorskip("torch")
    whole = normal(6, 4).astype(dtype)
    array = {
        "plain": whole,
        "transposed": whole.T,
        "spaced": whole[::2, 1::2],
        "reversed": whole[::-1],
        "repeated": np.broadcast_to(whole[:1], whole.shape),
    }[layout]
    tensor = _torch.to_tensor(array, torch.device("cpu"))
    assert np.array_equal(tensor.float().numpy(), array.astype(np.float32))
    if layout in ("plain", "transposed", "spaced"):
        assert tensor.stride() == tuple(step // array.itemsize for step in array.strides)


def test_torch_refuses_a_type_that_it_has_not():
    torch = pytest.importorskip("torch")
    with pytest.raises(Unsupported, match="int4"):
        _torch.to_tensor(np.zeros(3, ml_dtypes.int4), torch.device("cpu"))
