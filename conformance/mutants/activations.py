"""Faults of softmax, of SiLU, and of the feed-forward. Other functions are in ``functions``.

B batch, T tokens, D model.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._calls import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]


@mutant("operator Softmax", kills=ids("SOFTMAX", 1, 2, 4, 5), bug="generic")
def softmax_without_maximum(_: Honest, call: OperatorCall) -> Any:
    """The row's maximum is not subtracted before the exponential."""
    x = call.inputs["input"]
    with np.errstate(all="ignore"):
        e = np.exp(x)
        return {"output": (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)}


@mutant("operator Softmax", kills=ids("SOFTMAX", 1, 2, 4, 5), bug="generic")
def softmax_over_rows(honest: Honest, call: OperatorCall) -> Any:
    """Softmax runs over the first axis, whatever axis is asked for."""
    return honest(dataclasses.replace(call, attributes={"axis": 0}))


@mutant("operator Softmax", kills=ids("SOFTMAX", 1, 2, 4, 5), bug="generic")
def softmax_to_base_two(honest: Honest, call: OperatorCall) -> Any:
    """Softmax takes powers of two, without the factor 1 / ln 2 that belongs to them."""
    x = call.inputs["input"]
    return honest(dataclasses.replace(call, inputs={"input": (x * math.log(2)).astype(x.dtype)}))


@mutant(
    "operator Softmax",
    kills=ids("SOFTMAX", 1, 2, 4, 5),
    bug="generic",
    below_noise_at=("bf16", "fp16"),
)
def softmax_with_epsilon(honest: Honest, call: OperatorCall) -> Any:
    """A hundred-thousandth is added to the sum of exponentials."""
    x = call.inputs["input"].astype(np.float64)
    total = np.exp(x - x.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)
    return {n: (y * total / (total + 1e-5)).astype(y.dtype) for n, y in honest(call).items()}


@mutant(
    "operator Softmax",
    kills=("SOFTMAX-002",),
    bug="generic",
    equivalent_at={"fp16": "exp(-20) is less than half of the smallest float16 number."},
)
def minus_infinity_clamped(honest: Honest, call: OperatorCall) -> Any:
    """Minus infinity is clamped to 20 below the row's maximum."""
    x = call.inputs["input"]
    clamped = np.maximum(x, x.max(axis=-1, keepdims=True) - 20).astype(x.dtype)
    kept = np.where(np.isneginf(x), clamped, x)
    return honest(dataclasses.replace(call, inputs={"input": kept}))


@mutant(
    "operator LogSoftmax",
    kills=("SOFTMAX-003", "SOFTMAX-006", "SOFTMAX-007", "EQUIV-009"),
    bug="generic",
)
def log_of_softmax(_: Honest, call: OperatorCall) -> Any:
    """Log-softmax is the logarithm of a softmax that has underflowed."""
    x = call.inputs["input"]
    with np.errstate(divide="ignore"):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return {"output": np.log(e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)}


@mutant("operator LogSoftmax", kills=("SOFTMAX-003", "SOFTMAX-006", "SOFTMAX-007"), bug="generic")
def log_probabilities_of_the_wrong_sum(honest: Honest, call: OperatorCall) -> Any:
    """The log sum leaves out the row's largest logit."""
    x = call.inputs["input"].astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        off = np.log(e) - np.log(np.maximum(e - 1, 1e-30))
    return {name: (y + off).astype(y.dtype) for name, y in honest(call).items()}


@mutant("operator Swish", kills=("MLP-001", "ACT-006", "EQUIV-013"), bug="generic")
def silu_as_quick_gelu(honest: Honest, call: OperatorCall) -> Any:
    """SiLU is x * sigmoid(1.702 x), the quick form of GELU."""
    return honest(dataclasses.replace(call, attributes={"alpha": 1.702}))


@mutant("operator Swish", kills=("MLP-001", "ACT-006"), bug="generic")
def silu_as_hard_swish(_: Honest, call: OperatorCall) -> Any:
    """SiLU is the piecewise polynomial x * relu6(x + 3) / 6."""
    x = call.inputs["X"]
    return {"Y": (x * np.clip(x + 3, 0, 6) / 6).astype(x.dtype)}


@mutant("operator Swish", kills=("MLP-001", "ACT-006"), bug="generic")
def silu_without_a_tail(honest: Honest, call: OperatorCall) -> Any:
    """SiLU is 0 for every x below -6."""
    cut = call.inputs["X"] >= -6
    return {name: (y * cut).astype(y.dtype) for name, y in honest(call).items()}


@mutant("operator Swish", kills=("MLP-001", "ACT-006"), bug="huggingface/transformers#40197")
def gate_clamped_at_seven(honest: Honest, call: OperatorCall) -> Any:
    """The gate is clamped at 7, the limit of another model family."""
    clamped = np.minimum(call.inputs["X"], call.inputs["X"].dtype.type(7))
    return honest(dataclasses.replace(call, inputs={"X": clamped}))


@mutant("operator Swish", kills=("MLP-001", "ACT-006"), bug="generic")
def silu_overflows_in_its_tail(_: Honest, call: OperatorCall) -> Any:
    """SiLU is x * exp(x) / (1 + exp(x)), infinity over infinity for large x."""
    x = call.inputs["X"]
    with np.errstate(over="ignore", invalid="ignore"):
        return {"Y": (x * np.exp(x) / (1 + np.exp(x))).astype(x.dtype)}


@mutant("operator Swish", kills=("ACT-006",), bug="generic")
def swish_without_alpha(honest: Honest, call: OperatorCall) -> Any:
    """Swish is SiLU, whatever alpha the call gives."""
    return honest(dataclasses.replace(call, attributes={"alpha": 1.0}))


@mutant("operator Swish", kills=("ACT-006",), bug="generic")
def swish_scaled_outside(honest: Honest, call: OperatorCall) -> Any:
    """Alpha multiplies the product of x and its sigmoid."""
    alpha = call.attributes.get("alpha", 1.0)
    plain = honest(dataclasses.replace(call, attributes={"alpha": 1.0}))
    return {name: (y * alpha).astype(y.dtype) for name, y in plain.items()}


@mutant("operator Swish", kills=("ACT-006",), bug="generic", below_noise_at=("bf16", "fp16"))
def alpha_kept_in_eight_bits(honest: Honest, call: OperatorCall) -> Any:
    """Alpha is a number of 8 bits: 1.703125 for 1.702."""
    alpha = round(call.attributes.get("alpha", 1.0) * 128) / 128
    return honest(dataclasses.replace(call, attributes={"alpha": alpha}))


@mutant(
    "silu",
    kills=("LOGITS-001", "LOGITS-002", "LOGITS-008", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="huggingface/transformers#29402",
)
def gate_by_gelu(_: Honest, x: Any) -> Any:
    """The activation is GELU with the error function."""
    return x * (1 + (x / math.sqrt(2)).erf()) / 2


@mutant(
    "silu",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="ml-explore/mlx-examples#1057",
)
def gate_by_gelu_of_tanh(_: Honest, x: Any) -> Any:
    """The activation is GELU in its tanh form."""
    return x * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh()) / 2


@mutant("silu", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def gate_by_relu(_: Honest, x: Any) -> Any:
    """The activation is ReLU."""
    return x.clamp(min=0)


@mutant("silu", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def gate_by_sigmoid(_: Honest, x: Any) -> Any:
    """The activation is the sigmoid alone, as in the first gated linear unit."""
    return x.sigmoid()


@mutant("Mlp.forward", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def activation_on_the_product(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The activation is applied to the product of gate and up projection."""
    if not self.gated:
        return honest(self, x_BTD)
    product = self.gate_proj(x_BTD) * self.up_proj(x_BTD)
    return self.down_proj(product * product.sigmoid())
