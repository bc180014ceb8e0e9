"""Faults of RotaryPhases in one scaling of the frequencies: linear, Llama 3's, YaRN, LongRoPE."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._phases import LINEAR, LLAMA3, LONGROPE, YARN, asked, at, scaling

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]
    Fault = Callable[[Honest, OperatorCall], Any]


def _only(name: str) -> Callable[[Fault], Fault]:
    """Let a fault bite where a call asks for one scaling, and nowhere else."""

    def restrict(fault: Fault) -> Fault:
        @functools.wraps(fault)
        def restricted(honest: Honest, call: OperatorCall) -> Any:
            return fault(honest, call) if scaling(call) == name else honest(call)

        return restricted

    return restrict


@mutant("operator RotaryPhases", kills=LINEAR, bug="generic")
@_only("linear")
def positions_divided_to_integers(honest: Honest, call: OperatorCall) -> Any:
    """Linear scaling divides positions, and drops the fraction."""
    divided = call.inputs["position_ids"] // call.attributes["factor"]
    return honest(asked(at(call, divided.astype(np.int64)), scaling="none"))


@mutant("operator RotaryPhases", kills=LINEAR, bug="generic")
@_only("linear")
def linear_factor_inverted(honest: Honest, call: OperatorCall) -> Any:
    """Linear scaling multiplies by the factor."""
    return honest(asked(call, factor=1 / call.attributes["factor"]))


@mutant("operator RotaryPhases", kills=LINEAR, bug="generic")
@_only("linear")
def linear_factor_scales_the_base(honest: Honest, call: OperatorCall) -> Any:
    """Linear scaling multiplies the base by the factor, as NTK-aware scaling does."""
    theta = call.attributes["theta"] * call.attributes["factor"]
    return honest(asked(call, theta=theta, scaling="none"))


@mutant("operator RotaryPhases", kills=LLAMA3, bug="generic")
@_only("llama3")
def llama3_scaling_of_every_frequency(honest: Honest, call: OperatorCall) -> Any:
    """Llama 3's scaling divides every frequency by the factor, as linear scaling does."""
    return honest(asked(call, scaling="linear"))


@mutant("operator RotaryPhases", kills=LLAMA3, bug="generic")
@_only("llama3")
def llama3_scaling_without_a_ramp(honest: Honest, call: OperatorCall) -> Any:
    """Llama 3's scaling keeps whatever turns more than the low factor, and has no ramp."""
    low = call.attributes["low_freq_factor"]
    return honest(asked(call, high_freq_factor=low * 1.0001))


@mutant("operator RotaryPhases", kills=LLAMA3, bug="generic")
@_only("llama3")
def llama3_scaling_with_borders_swapped(honest: Honest, call: OperatorCall) -> Any:
    """The low and the high frequency factor of Llama 3's scaling are swapped."""
    low, high = call.attributes["low_freq_factor"], call.attributes["high_freq_factor"]
    return honest(asked(call, low_freq_factor=high, high_freq_factor=low))


@mutant("operator RotaryPhases", kills=LLAMA3, bug="generic")
@_only("llama3")
def llama3_scaling_from_the_extended_context(honest: Honest, call: OperatorCall) -> Any:
    """Llama 3's scaling takes the extended context for the original one."""
    length = call.attributes["original_max_position_embeddings"] * call.attributes["factor"]
    return honest(asked(call, original_max_position_embeddings=int(length)))


@mutant("operator RotaryPhases", kills=("ROPE-011",), bug="pytorch/torchtitan#3787")
@_only("yarn")
def yarn_with_betas_hard_coded(honest: Honest, call: OperatorCall) -> Any:
    """YaRN's ramp lies between 32 and 1 turns, whatever the call says."""
    return honest(asked(call, beta_fast=32.0, beta_slow=1.0))


@mutant("operator RotaryPhases", kills=YARN, bug="generic")
@_only("yarn")
def yarn_of_every_frequency(honest: Honest, call: OperatorCall) -> Any:
    """YaRN divides every frequency by the factor, as linear scaling does."""
    return honest(asked(call, beta_fast=1e5, beta_slow=5e4))


@mutant("operator RotaryPhases", kills=("ROPE-011",), bug="generic")
@_only("yarn")
def yarn_always_truncated(honest: Honest, call: OperatorCall) -> Any:
    """The corners of YaRN's ramp are rounded to integers, though the call says not to."""
    return honest(asked(call, truncate=1))


@mutant("operator RotaryPhases", kills=YARN, bug="generic")
@_only("yarn")
def yarn_from_the_extended_context(honest: Honest, call: OperatorCall) -> Any:
    """YaRN takes the extended context for the original one."""
    length = call.attributes["original_max_position_embeddings"] * call.attributes["factor"]
    return honest(asked(call, original_max_position_embeddings=int(length)))


def _times(honest: Honest, call: OperatorCall, change: Callable[[float], float]) -> Any:
    """Compute with another attention factor, made of the honest one."""
    first = honest(asked(at(call, np.zeros((1, 1), np.int64)), dtype="float64"))
    return honest(asked(call, attention_factor=change(float(first["cos"].flat[0]))))


@mutant("operator RotaryPhases", kills=("ROPE-012",), bug="huggingface/transformers#47435")
@_only("yarn")
def yarn_without_its_attention_factor(honest: Honest, call: OperatorCall) -> Any:
    """YaRN's cosines and sines are not multiplied by the attention factor."""
    return honest(asked(call, attention_factor=1.0))


@mutant("operator RotaryPhases", kills=("ROPE-012",), bug="sgl-project/sglang#33558")
@_only("yarn")
def yarn_attention_factor_squared(honest: Honest, call: OperatorCall) -> Any:
    """YaRN's attention factor is multiplied in twice."""
    return _times(honest, call, lambda factor: factor**2)


@mutant("operator RotaryPhases", kills=YARN, bug="vllm-project/vllm#46280")
@_only("yarn")
def yarn_attention_factor_always_computed(honest: Honest, call: OperatorCall) -> Any:
    """YaRN's attention factor follows from the scaling factor, though the call gives another."""
    return honest(asked(call, attention_factor=0.0))


@mutant("operator RotaryPhases", kills=("ROPE-012",), bug="NVIDIA/Megatron-LM#1429")
@_only("yarn")
def yarn_without_mscale_of_all_dimensions(honest: Honest, call: OperatorCall) -> Any:
    """YaRN's attention factor is not divided by what mscale_all_dim makes of the factor."""
    weight = call.attributes.get("mscale", 0.0)
    if not weight:
        return honest(call)
    factor = 1 + 0.1 * weight * math.log(call.attributes["factor"])
    return honest(asked(call, attention_factor=factor))


@mutant("operator RotaryPhases", kills=LONGROPE, bug="mlc-ai/mlc-llm#3375")
@_only("longrope")
def longrope_always_short(honest: Honest, call: OperatorCall) -> Any:
    """LongRoPE takes the short factors for every context."""
    return honest(asked(call, long_factor=call.attributes["short_factor"]))


@mutant("operator RotaryPhases", kills=LONGROPE, bug="lablup/mlxcel#1358")
@_only("longrope")
def longrope_always_long(honest: Honest, call: OperatorCall) -> Any:
    """LongRoPE takes the long factors for every context."""
    return honest(asked(call, short_factor=call.attributes["long_factor"]))


@mutant("operator RotaryPhases", kills=LONGROPE, bug="unslothai/unsloth#10681")
@_only("longrope")
def longrope_long_too_early(honest: Honest, call: OperatorCall) -> Any:
    """LongRoPE takes the long factors when the original context is just full."""
    length = call.attributes["original_max_position_embeddings"]
    if call.inputs["position_ids"].max() + 1 != length:
        return honest(call)
    return honest(asked(call, short_factor=call.attributes["long_factor"]))


@mutant("operator RotaryPhases", kills=LONGROPE, bug="generic")
@_only("longrope")
def longrope_long_too_late(honest: Honest, call: OperatorCall) -> Any:
    """LongRoPE compares the last position, not the length, and takes the short factors for one."""
    length = call.attributes["original_max_position_embeddings"]
    if call.inputs["position_ids"].max() != length:
        return honest(call)
    return honest(asked(call, long_factor=call.attributes["short_factor"]))


@mutant("operator RotaryPhases", kills=LONGROPE, bug="generic")
@_only("longrope")
def longrope_by_position(honest: Honest, call: OperatorCall) -> Any:
    """LongRoPE turns each position by the factors of its own length."""
    beyond = call.inputs["position_ids"] >= call.attributes["original_max_position_embeddings"]
    long = honest(asked(call, short_factor=call.attributes["long_factor"]))
    short = honest(asked(call, long_factor=call.attributes["short_factor"]))
    return {name: np.where(beyond[..., None], long[name], short[name]) for name in long}


@mutant("operator RotaryPhases", kills=LONGROPE, bug="generic")
@_only("longrope")
def longrope_without_its_attention_factor(honest: Honest, call: OperatorCall) -> Any:
    """LongRoPE's cosines and sines are not multiplied by the attention factor."""
    return honest(asked(call, attention_factor=1.0))
