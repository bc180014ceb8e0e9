"""Faults of functions of one number: sigmoid, tanh, ReLU, GELU."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]


def _of(call: OperatorCall, function: Callable[[Any], Any], dtype: Any = np.float64) -> Any:
    """Answer a function of the call's input, computed in a type."""
    (x,) = call.inputs.values()
    with np.errstate(all="ignore"):
        y = function(x.astype(dtype))
        return {name: y.astype(x.dtype) for name in call.outputs}


def _in_float16(honest: Honest, call: OperatorCall) -> Any:
    with np.errstate(over="ignore"):
        return {name: y.astype(np.float16).astype(y.dtype) for name, y in honest(call).items()}


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@mutant("operator Sigmoid", kills=("ACT-001",), bug="generic")
def sigmoid_overflows(_: Honest, call: OperatorCall) -> Any:
    """The sigmoid is exp(x) / (1 + exp(x)), infinity over infinity for large x."""
    return _of(call, lambda x: np.exp(x) / (1 + np.exp(x)), np.float32)


@mutant("operator Sigmoid", kills=("ACT-001",), bug="generic")
def sigmoid_in_pieces(_: Honest, call: OperatorCall) -> Any:
    """The sigmoid is the straight line x / 6 + 1/2, clamped to 0 and 1."""
    return _of(call, lambda x: np.clip(x / 6 + 0.5, 0, 1))


@mutant("operator Sigmoid", kills=("ACT-001",), bug="generic")
def sigmoid_by_tanh_of_the_whole(_: Honest, call: OperatorCall) -> Any:
    """The sigmoid is (1 + tanh(x)) / 2, x not halved."""
    return _of(call, lambda x: (1 + np.tanh(x)) / 2)


@mutant(
    "operator Sigmoid",
    kills=("ACT-001",),
    bug="generic",
    equivalent_at={"fp16": "The sigmoid answers float16 numbers there."},
    below_noise_at=("bf16",),
)
def sigmoid_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The sigmoid is a float16 number."""
    return _in_float16(honest, call)


@mutant("operator Sigmoid", bug="generic", equivalent="sigmoid(x) = (1 + tanh(x / 2)) / 2.")
def sigmoid_by_tanh_of_half(_: Honest, call: OperatorCall) -> Any:
    """The sigmoid is computed by the hyperbolic tangent, in float32."""
    return _of(call, lambda x: (1 + np.tanh(x / 2)) / 2, np.float32)


@mutant("operator Tanh", kills=("ACT-002",), bug="generic")
def tanh_overflows(_: Honest, call: OperatorCall) -> Any:
    """Tanh is (exp(2 x) - 1) / (exp(2 x) + 1), infinity over infinity for large x."""
    return _of(call, lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1), np.float32)


@mutant("operator Tanh", kills=("ACT-002",), bug="generic")
def tanh_cancels_near_zero(_: Honest, call: OperatorCall) -> Any:
    """Tanh is 1 - 2 / (exp(2 x) + 1), which has no digits left near 0."""
    return _of(call, lambda x: 1 - 2 / (np.exp(2 * x) + 1), np.float32)


@mutant("operator Tanh", kills=("ACT-002",), bug="generic")
def tanh_in_pieces(_: Honest, call: OperatorCall) -> Any:
    """Tanh is x, clamped to -1 and 1."""
    return _of(call, lambda x: np.clip(x, -1, 1))


@mutant("operator Tanh", kills=("ACT-002",), bug="generic")
def tanh_by_a_short_fraction(_: Honest, call: OperatorCall) -> Any:
    """Tanh is the fraction x (27 + x^2) / (27 + 9 x^2), clamped to -1 and 1."""

    def fraction(x: Any) -> Any:
        near = np.clip(x, -3, 3)
        return near * (27 + near * near) / (27 + 9 * near * near)

    return _of(call, fraction)


@mutant(
    "operator Tanh",
    kills=("ACT-002",),
    bug="generic",
    equivalent_at={"fp16": "Tanh answers float16 numbers there."},
)
def tanh_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """Tanh is a float16 number."""
    return _in_float16(honest, call)


@mutant("operator Relu", kills=("ACT-003",), bug="generic")
def relu_leaks(_: Honest, call: OperatorCall) -> Any:
    """ReLU keeps a hundredth of negative numbers."""
    return _of(call, lambda x: np.where(x < 0, x / 100, x))


@mutant("operator Relu", kills=("ACT-003",), bug="generic")
def relu_of_six(_: Honest, call: OperatorCall) -> Any:
    """ReLU is clamped at 6."""
    return _of(call, lambda x: np.clip(x, 0, 6))


@mutant("operator Relu", kills=("ACT-003",), bug="generic")
def relu_swallows_nan(_: Honest, call: OperatorCall) -> Any:
    """ReLU answers 0 for what is not larger than 0, NaN included."""
    return _of(call, lambda x: np.where(x > 0, x, 0))


@mutant(
    "operator Relu",
    kills=("ACT-003",),
    bug="generic",
    equivalent_at={"bf16": "ReLU answers bfloat16 numbers there."},
)
def relu_in_bfloat16(honest: Honest, call: OperatorCall) -> Any:
    """ReLU loses the lower half of its bits."""
    bits = {name: y.astype(np.float32).view(np.uint32) for name, y in honest(call).items()}
    (x,) = call.inputs.values()
    cut = {name: (y & 0xFFFF0000).view(np.float32) for name, y in bits.items()}
    return {name: y.astype(x.dtype) for name, y in cut.items()}


def _by_erf(call: OperatorCall) -> bool:
    return bool(call.attributes.get("approximate", "none") == "none")


def _approximated(honest: Honest, call: OperatorCall, approximate: str) -> Any:
    return honest(dataclasses.replace(call, attributes={"approximate": approximate}))


@mutant("operator Gelu", kills=("ACT-004",), bug="huggingface/transformers#29402")
def gelu_always_by_tanh(honest: Honest, call: OperatorCall) -> Any:
    """GELU is taken by tanh, whether or not the call says so."""
    return _approximated(honest, call, "tanh")


@mutant("operator Gelu", kills=("ACT-005",), bug="ml-explore/mlx-examples#1057")
def gelu_always_by_erf(honest: Honest, call: OperatorCall) -> Any:
    """GELU is taken by the error function, whether or not the call says so."""
    return _approximated(honest, call, "none")


@mutant("operator Gelu", kills=("ACT-004", "ACT-005"), bug="ml-explore/mlx-examples#579")
def gelu_by_a_sigmoid(_: Honest, call: OperatorCall) -> Any:
    """GELU is its quick form, x * sigmoid(1.702 x)."""
    return _of(call, lambda x: x * _sigmoid(1.702 * x))


@mutant("operator Gelu", kills=("ACT-004", "ACT-005"), bug="generic")
def gelu_without_a_tail(honest: Honest, call: OperatorCall) -> Any:
    """GELU is 0 for every x below -3."""
    cut = ~(call.inputs["X"] < -3)
    return {name: np.where(cut, y, 0).astype(y.dtype) for name, y in honest(call).items()}


@mutant(
    "operator Gelu",
    kills=("ACT-004", "ACT-005"),
    bug="generic",
    equivalent_at={"fp16": "GELU answers float16 numbers there."},
    below_noise_at=("bf16",),
)
def gelu_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """GELU is a float16 number."""
    return _in_float16(honest, call)


def _by_tanh(
    honest: Honest, call: OperatorCall, tanh: Callable[[Any], Any] = np.tanh, **changed: float
) -> Any:
    """Answer GELU's tanh form with a constant or the tanh replaced; the other form honestly."""
    constants = {"scale": math.sqrt(2 / math.pi), "cubic": 0.044715, **changed}
    if _by_erf(call):
        return honest(call)

    def form(x: Any) -> Any:
        w = constants["scale"] * (x + constants["cubic"] * x * x * x)
        return x / 2 * (1 + tanh(w))

    return _of(call, form, np.float32)


@mutant("operator Gelu", kills=("ACT-005",), bug="huggingface/candle#1408")
def gelu_by_a_tanh_that_overflows(honest: Honest, call: OperatorCall) -> Any:
    """GELU's tanh is a quotient of exponentials, infinity over infinity from x = 10 on."""
    return _by_tanh(honest, call, lambda w: (np.exp(2 * w) - 1) / (np.exp(2 * w) + 1))


@mutant("operator Gelu", kills=("ACT-005",), bug="generic")
def gelu_by_tanh_of_a_rounded_scale(honest: Honest, call: OperatorCall) -> Any:
    """GELU's tanh is taken of 0.8 (x + 0.044715 x^3), where sqrt(2 / pi) is 0.7979."""
    return _by_tanh(honest, call, scale=0.8)


@mutant("operator Gelu", kills=("ACT-005",), bug="generic", below_noise_at=("bf16",))
def gelu_by_tanh_of_another_cube(honest: Honest, call: OperatorCall) -> Any:
    """GELU's cubic term has the factor 0.0447, the first digits of 0.044715."""
    return _by_tanh(honest, call, cubic=0.0447)


@mutant(
    "operator Gelu",
    bug="generic",
    equivalent="(1 + tanh(w)) / 2 = sigmoid(2 w).",
)
def gelu_by_the_sigmoid_of_twice(honest: Honest, call: OperatorCall) -> Any:
    """GELU's tanh form is computed by a sigmoid, in float32."""
    return _by_tanh(honest, call, lambda w: 2 * _sigmoid(2 * w) - 1)
