"""Faults of gated units: gate and up (N, F)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

SWIGLU, GEGLU = "operator SwiGLU", "operator GeGLU"
BOTH = ("MLP-002", "MLP-003")


def _with(call: OperatorCall, **inputs: Any) -> OperatorCall:
    return dataclasses.replace(call, inputs={**call.inputs, **inputs})


def _asked(call: OperatorCall, **attributes: Any) -> OperatorCall:
    """Return the call with some attributes replaced; None leaves one out."""
    kept = {name: v for name, v in {**call.attributes, **attributes}.items() if v is not None}
    return dataclasses.replace(call, attributes=kept)


def _swapped(honest: Honest, call: OperatorCall) -> Any:
    return honest(_with(call, gate=call.inputs["up"], up=call.inputs["gate"]))


def _swiglu(
    call: OperatorCall, activation: Callable[[Any], Any] | None = None, *, late: bool = False
) -> Any:
    """Answer SwiGLU in float64, with another activation, or clamped after it."""
    gate, up = (call.inputs[name].astype(np.float64) for name in ("gate", "up"))
    alpha, offset = (call.attributes.get(name, d) for name, d in (("alpha", 1.0), ("offset", 0.0)))
    limit = call.attributes.get("limit", np.inf)
    with np.errstate(over="ignore"):
        activation = activation or (lambda x: x / (1 + np.exp(-alpha * x)))
        gate = np.minimum(activation(gate), limit) if late else activation(np.minimum(gate, limit))
    y = gate * (np.clip(up, -limit, limit) + offset)
    return {"Y": y.astype(call.inputs["gate"].dtype)}


@mutant(SWIGLU, kills=BOTH, bug="generic")
def gated_halves_swapped(honest: Honest, call: OperatorCall) -> Any:
    """The activation is applied to the up projection, and the gate multiplies it."""
    return _swapped(honest, call)


@mutant(SWIGLU, kills=BOTH, bug="generic")
def swiglu_of_the_product(_: Honest, call: OperatorCall) -> Any:
    """SiLU is applied to the product of gate and up."""
    product = call.inputs["gate"].astype(np.float64) * call.inputs["up"]
    with np.errstate(over="ignore"):
        y = product / (1 + np.exp(-product))
    return {"Y": y.astype(call.inputs["gate"].dtype)}


@mutant(SWIGLU, kills=BOTH, bug="generic")
def swiglu_by_the_sigmoid(_: Honest, call: OperatorCall) -> Any:
    """The gate is a sigmoid, as in the first gated linear unit."""
    with np.errstate(over="ignore"):
        return _swiglu(call, lambda x: 1 / (1 + np.exp(-x)))


@mutant(
    SWIGLU,
    kills=BOTH,
    bug="generic",
    equivalent_at={"fp16": "The unit answers float16 numbers there."},
)
def swiglu_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The unit's answer is a float16 number."""
    return {name: y.astype(np.float16).astype(y.dtype) for name, y in honest(call).items()}


@mutant(SWIGLU, kills=("MLP-003",), bug="huggingface/transformers#40197")
def limit_not_passed(honest: Honest, call: OperatorCall) -> Any:
    """The limit of the configuration does not reach the unit, which clamps nothing."""
    return honest(_asked(call, limit=None))


@mutant(SWIGLU, kills=BOTH, bug="generic")
def limit_hard_coded(honest: Honest, call: OperatorCall) -> Any:
    """Gate and up are clamped at 7, whatever limit the call gives or does not."""
    return honest(_asked(call, limit=7.0))


@mutant(SWIGLU, kills=("MLP-003",), bug="generic")
def gate_clamped_on_both_sides(honest: Honest, call: OperatorCall) -> Any:
    """The limit clamps the gate from below too."""
    limit = call.attributes.get("limit", np.inf)
    gate = call.inputs["gate"]
    return honest(_with(call, gate=np.maximum(gate, gate.dtype.type(-limit))))


@mutant(SWIGLU, kills=("MLP-003",), bug="generic")
def up_clamped_on_one_side(_: Honest, call: OperatorCall) -> Any:
    """The limit clamps up from above alone, as it does the gate."""
    limit = call.attributes.get("limit", np.inf)
    up = np.minimum(call.inputs["up"], call.inputs["up"].dtype.type(limit))
    gate = np.minimum(call.inputs["gate"], call.inputs["gate"].dtype.type(limit))
    return _swiglu(_asked(_with(call, gate=gate, up=up), limit=None))


@mutant(SWIGLU, kills=("MLP-003",), bug="generic", below_noise_at=("bf16", "fp16"))
def gate_clamped_after_its_activation(_: Honest, call: OperatorCall) -> Any:
    """The limit clamps the activated gate, not the gate."""
    return _swiglu(call, late=True)


@mutant(SWIGLU, kills=("MLP-003",), bug="generic")
def unit_without_alpha(honest: Honest, call: OperatorCall) -> Any:
    """The gate's activation is SiLU, whatever alpha the call gives."""
    return honest(_asked(call, alpha=None))


@mutant(SWIGLU, kills=("MLP-003",), bug="generic")
def unit_without_its_offset(honest: Honest, call: OperatorCall) -> Any:
    """Nothing is added to up before it is multiplied."""
    return honest(_asked(call, offset=None))


@mutant(SWIGLU, kills=("MLP-003",), bug="generic")
def offset_before_the_clamp(honest: Honest, call: OperatorCall) -> Any:
    """The offset is added to up before up is clamped."""
    up, offset = call.inputs["up"], call.attributes.get("offset", 0.0)
    return honest(_asked(_with(call, up=(up + offset).astype(up.dtype)), offset=None))


@mutant(SWIGLU, bug="generic", equivalent="Products may be taken in any order.")
def up_times_the_sigmoid_first(_: Honest, call: OperatorCall) -> Any:
    """The other projection is multiplied by the sigmoid first and by the gate last, in float32."""
    narrow = {name: x.astype(np.float32) for name, x in call.inputs.items()}
    limit = np.float32(call.attributes.get("limit", np.inf))
    alpha, offset = (
        np.float32(call.attributes.get(name, d)) for name, d in (("alpha", 1.0), ("offset", 0.0))
    )
    gate, up = np.minimum(narrow["gate"], limit), np.clip(narrow["up"], -limit, limit)
    with np.errstate(over="ignore"):
        y = (up + offset) * (1 / (1 + np.exp(-alpha * gate))) * gate
    return {"Y": y.astype(call.inputs["gate"].dtype)}


@mutant(GEGLU, kills=("MLP-004",), bug="huggingface/transformers#29402")
def geglu_always_by_erf(honest: Honest, call: OperatorCall) -> Any:
    """GELU is taken by the error function where the model asks for its tanh form."""
    return honest(_asked(call, approximate="none"))


@mutant(GEGLU, kills=("MLP-004",), bug="ml-explore/mlx-examples#1057")
def geglu_always_by_tanh(honest: Honest, call: OperatorCall) -> Any:
    """GELU is taken by tanh where the model asks for the error function."""
    return honest(_asked(call, approximate="tanh"))


@mutant(GEGLU, kills=("MLP-004",), bug="generic")
def geglu_swapped(honest: Honest, call: OperatorCall) -> Any:
    """GELU is applied to the up projection, and the gate multiplies it."""
    return _swapped(honest, call)


@mutant(GEGLU, kills=("MLP-004",), bug="generic")
def geglu_by_silu(_: Honest, call: OperatorCall) -> Any:
    """The gate's activation is SiLU."""
    return _swiglu(call)
