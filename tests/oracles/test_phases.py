"""RotaryPhases: equal to Transformers in fp64; honest forms keep the bound, faults leave it."""

from __future__ import annotations

import contextlib
from unittest import mock

import mpmath
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, modeling_rope_utils

from conformance import spec
from conformance.errors import SpecError
from conformance.oracles.operators import phases
from conformance.oracles.standard import OPERATORS, expected
from conformance.records import OWN_DOMAIN, OperatorCall
from contracts import contract

FP32 = contract("float32")
CASES = {
    f"{requirement.id} {name}": case
    for requirement in spec.load().requirements.values()
    if requirement.operator == "RotaryPhases-1"
    for name, case in requirement.inputs.items()
}
NOT_VACUOUS = 0.1


def attributes_of(case):
    given = {name: value for name, value in case.items() if name != "positions"}
    return {**OPERATORS["RotaryPhases"].attributes, **given}


def positions_of(case):
    return np.array([case["positions"]])


def call_of(case, **changes):
    given = {n: v for n, v in {**case, **changes}.items() if n != "positions"}
    inputs = {"position_ids": positions_of(case)}
    return OperatorCall("RotaryPhases", 23, inputs, given, ("cos", "sin"), OWN_DOMAIN)


@contextlib.contextmanager
def upcast():
    """Let code that asks torch for float32 get float64."""
    with (
        mock.patch.object(torch, "float", torch.float64),
        mock.patch.object(torch, "float32", torch.float64),
        mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
    ):
        yield


KEYS = {
    "linear": ("factor",),
    "llama3": ("low_freq_factor", "high_freq_factor"),
    "yarn": ("beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim"),
    "longrope": ("short_factor", "long_factor", "attention_factor"),
}


def transformers_frequencies(case):
    """Return frequencies and attention factor as Transformers makes them of a configuration."""
    name = case.get("scaling", "none")
    plain = 1.0 / case["theta"] ** (torch.arange(0, case["dim"], 2).float() / case["dim"])
    if name == "none":
        return plain, 1.0
    rope = {
        "rope_type": name,
        "rope_theta": case["theta"],
        "factor": case["factor"],
        **{key: case[key] for key in KEYS[name] if key in case},
    }
    if name != "linear":
        rope["original_max_position_embeddings"] = case["original_max_position_embeddings"]
    if "truncate" in case:
        rope["truncate"] = bool(case["truncate"])
    config = LlamaConfig(head_dim=case["dim"], rope_parameters=rope)
    length = max(case["positions"]) + 1
    return modeling_rope_utils.ROPE_INIT_FUNCTIONS[name](config, "cpu", seq_len=length)


@pytest.mark.parametrize("name", CASES)
def test_frequencies_and_factor_equal_those_of_transformers_in_float64(name):
    case = CASES[name]
    ours = phases.scaled_frequencies(attributes_of(case), positions_of(case))
    with upcast():
        theirs, factor = transformers_frequencies(case)
    assert theirs.dtype == torch.float64
    assert np.allclose(ours.value, theirs.numpy(), rtol=1e-14, atol=0)
    assert ours.factor == pytest.approx(factor, rel=1e-14)


def test_phases_equal_their_formula_in_fifty_digits():
    case = CASES["ROPE-008 llama-3"]
    answer = expected(call_of(case), contract("float64", accumulation="float64"))
    with mpmath.workdps(50):
        angles = [
            [p * mpmath.mpf(case["theta"]) ** (mpmath.mpf(-2 * i) / case["dim"]) for i in range(32)]
            for p in case["positions"]
        ]
        for name, function in (("cos", mpmath.cos), ("sin", mpmath.sin)):
            wanted = np.array([[float(function(angle)) for angle in row] for row in angles])
            error = np.abs(answer[name].value[0] - wanted)
            assert (error <= answer[name].bound[0]).all()
            assert error.max() < 1e-10


def power(theta, dim):
    exponent = np.arange(0, dim, 2).astype(np.float32) / np.float32(dim)
    return np.float32(1) / np.float32(theta) ** exponent


def exponential(theta, dim):
    exponent = np.arange(0, dim, 2).astype(np.float32) / np.float32(dim)
    return np.exp(-exponent * np.log(np.float32(theta)))


def base_two(theta, dim):
    exponent = np.arange(0, dim, 2).astype(np.float32) * np.float32(1 / dim)
    return np.exp2(-exponent * np.log2(np.float32(theta)))


def rounded_once(theta, dim):
    return (theta ** -(np.arange(0, dim, 2) / dim)).astype(np.float32)


PLAIN = (power, exponential, base_two, rounded_once)


def scaled(case, plain, at):
    """Return float32 frequencies and positions; linear scaling divides either."""
    name, f32 = case.get("scaling", "none"), np.float32
    if name == "none":
        yield plain, at
    elif name == "linear":
        yield plain / f32(case["factor"]), at
        yield plain, at / f32(case["factor"])
    elif name == "longrope":
        length = case["original_max_position_embeddings"]
        which = "long_factor" if at.max() + 1 > length else "short_factor"
        yield plain / np.array(case[which], np.float32), at
    elif name == "llama3":
        length, factor = f32(case["original_max_position_embeddings"]), f32(case["factor"])
        low, high = f32(case["low_freq_factor"]), f32(case["high_freq_factor"])
        wave = f32(2 * np.pi) / plain  # as Meta's code has it
        smooth = np.clip((length / wave - low) / (high - low), f32(0), f32(1))
        yield (1 - smooth) * plain / factor + smooth * plain, at
        yield plain * (smooth + (1 - smooth) / factor), at
    else:
        exact = phases.scaled_frequencies(attributes_of(case), at).value
        ratio = exact / (case["theta"] ** -(np.arange(0, case["dim"], 2) / case["dim"]))
        kept = ((ratio - 1 / case["factor"]) / (1 - 1 / case["factor"])).astype(np.float32)
        slow = plain / f32(case["factor"])
        yield slow * (1 - kept) + plain * kept, at
        yield slow + (plain - slow) * kept, at


def honest(case):
    """Yield cosine and sine in float32, by each form of frequencies and of scaling."""
    at = positions_of(case).astype(np.float32)
    factor = np.float32(phases.scaled_frequencies(attributes_of(case), positions_of(case)).factor)
    for form in PLAIN:
        for frequency, position in scaled(case, form(case["theta"], case["dim"]), at):
            angle = position[..., None] * frequency
            yield {"cos": np.cos(angle) * factor, "sin": np.sin(angle) * factor}
    theirs, attention = transformers_frequencies(case)
    angle = torch.from_numpy(at)[..., None] * theirs
    yield {"cos": (angle.cos() * attention).numpy(), "sin": (angle.sin() * attention).numpy()}


def rho(observed, answer):
    return max(
        float((np.abs(observed[name].astype(np.float64) - y.value) / y.bound).max())
        for name, y in answer.items()
    )


@pytest.mark.parametrize("name", CASES)
def test_honest_phases_stay_within_a_bound_that_is_not_vacuous(name):
    answer = expected(call_of(CASES[name]), FP32)
    worst = max(rho(observed, answer) for observed in honest(CASES[name]))
    assert NOT_VACUOUS <= worst <= 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_answers_are_float32_phases_rounded_once(dtype):
    for case in CASES.values():
        answer = expected(call_of(case, dtype=dtype), contract(dtype))
        for observed in honest(case):
            tensors = {
                n: torch.from_numpy(x).to(getattr(torch, dtype)) for n, x in observed.items()
            }
            assert rho({n: t.double().numpy() for n, t in tensors.items()}, answer) <= 1


FAULTS = {
    "base 10001 for 10000": lambda case: {"theta": case["theta"] * 1.0001},
    "factor off by a ten-thousandth": lambda case: {"factor": case["factor"] * 1.0001},
    "context off by one": lambda case: {
        "original_max_position_embeddings": case["original_max_position_embeddings"] + 1
    },
    "attention factor off by 1e-5": lambda case: {
        "attention_factor": case.get("attention_factor", 0.0) * 1.00001
    },
}
BLIND = {
    "base 10001 for 10000": (),
    "factor off by a ten-thousandth": ("none",),
    "context off by one": ("none", "linear", "yarn"),
    "attention factor off by 1e-5": ("none", "linear", "llama3"),
}
"""The scalings that do not read what the fault changes, or round it away (YaRN's corners)."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_small_fault_leaves_the_bound(fault):
    for name, case in CASES.items():
        if case.get("scaling", "none") in BLIND[fault]:
            continue
        given = bool(case.get("attention_factor"))
        if given != ("attention" in fault):
            continue
        answer = expected(call_of(case), FP32)
        faulty = expected(call_of({**case, **FAULTS[fault](case)}), FP32)
        assert rho({n: y.value for n, y in faulty.items()}, answer) > 2, name


def test_the_bound_grows_with_the_position_and_not_at_the_start():
    case = {"theta": 10000.0, "dim": 64, "positions": [0, 1, 1024, 131071]}
    bound = expected(call_of(case), FP32)["sin"].bound[0]
    largest = bound.max(axis=-1)
    assert largest[0] < 1e-6
    assert (np.diff(largest) > 0).all()
    assert largest[-1] < 0.05


def test_longrope_asks_the_whole_batch_for_the_longest_position():
    case = {**CASES["ROPE-013 long"], "positions": [1, 257]}
    short = expected(call_of(case), FP32)["cos"].value
    call = call_of(case)
    both = np.array([[1, 257], [1, 4096]])
    call = OperatorCall(
        call.operator, 23, {"position_ids": both}, call.attributes, call.outputs, OWN_DOMAIN
    )
    assert not np.allclose(expected(call, FP32)["cos"].value[:1], short)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scaling": "ntk"}, "unknown scaling 'ntk'"),
        ({"scaling": "longrope", "long_factor": [1.0], "short_factor": [1.0]}, "factors for"),
        ({"scaling": "yarn", "beta_fast": 4096 / (2 * np.pi) / 10.0}, "too near an integer"),
    ],
)
def test_what_the_oracle_cannot_decide_is_refused(change, words):
    case = {
        "theta": 10000.0,
        "dim": 8,
        "factor": 4.0,
        "original_max_position_embeddings": 4096,
        "positions": [1],
        **change,
    }
    with pytest.raises(SpecError, match=words):
        expected(call_of(case), FP32)
