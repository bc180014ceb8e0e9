"""Faults of the operator RotaryPhases: positions, frequencies, their scaling. R rotated pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance import precision
from conformance.mutants import mutant
from conformance.mutants._phases import EVERY, SCALED, asked, at, scaling

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]


def _frequencies(honest: Honest, call: OperatorCall) -> tuple[Any, Any]:
    """Return the honest frequencies (R,) and the attention factor, read off at position 1."""
    longest = call.inputs["position_ids"].max()
    phases = honest(asked(at(call, np.array([[1, longest]])), dtype="float64"))
    cos_R, sin_R = phases["cos"][0, 0], phases["sin"][0, 0]
    return np.arctan2(sin_R, cos_R), np.hypot(cos_R, sin_R)


def _turned(call: OperatorCall, angle_BTR: Any, factor: Any) -> Any:
    dtype = precision.dtype(call.attributes["dtype"])
    parts = {"cos": np.cos(angle_BTR), "sin": np.sin(angle_BTR)}
    return {name: (factor * part).astype(dtype) for name, part in parts.items()}


def _rounded(x: Any, dtype: Any) -> Any:
    return x.astype(dtype).astype(np.float64)


def _column(call: OperatorCall) -> Any:
    return call.inputs["position_ids"][..., None].astype(np.float64)


@mutant("operator RotaryPhases", kills=SCALED, bug="ggml-org/llama.cpp#8650")
def phases_unscaled(honest: Honest, call: OperatorCall) -> Any:
    """The scaling is ignored, and so is the attention factor."""
    return honest(asked(call, scaling="none"))


@mutant("operator RotaryPhases", kills=EVERY, bug="huggingface/transformers#29285")
def angles_in_bfloat16(honest: Honest, call: OperatorCall) -> Any:
    """Positions, frequencies and their products are bfloat16 numbers."""
    frequency_R, factor = _frequencies(honest, call)
    narrow = ml_dtypes.bfloat16
    angle = _rounded(_column(call), narrow) * _rounded(frequency_R, narrow)
    return _turned(call, _rounded(angle, narrow), factor)


@mutant("operator RotaryPhases", kills=EVERY, bug="huggingface/diffusers#13922")
def angles_under_autocast(honest: Honest, call: OperatorCall) -> Any:
    """Autocast rounds positions and frequencies to bfloat16 before it multiplies them."""
    frequency_R, factor = _frequencies(honest, call)
    narrow = ml_dtypes.bfloat16
    angle = _rounded(_column(call), narrow) * _rounded(frequency_R, narrow)
    return _turned(call, angle, factor)


@mutant("operator RotaryPhases", kills=EVERY, bug="KellerJordan/modded-nanogpt#39")
def inverse_frequencies_in_bfloat16(honest: Honest, call: OperatorCall) -> Any:
    """Frequencies are a buffer that became bfloat16 together with the weights."""
    frequency_R, factor = _frequencies(honest, call)
    return _turned(call, _column(call) * _rounded(frequency_R, ml_dtypes.bfloat16), factor)


@mutant("operator RotaryPhases", kills=EVERY, bug="ml-explore/mlx-lm#1076")
def positions_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """Positions are float16 numbers: above 2048 they are even, and above 4096 multiples of four."""
    positions = np.minimum(call.inputs["position_ids"], 65504)
    return honest(at(call, positions.astype(np.float16).astype(np.int64)))


@mutant("operator RotaryPhases", kills=EVERY, bug="generic")
def phases_of_base_10001(honest: Honest, call: OperatorCall) -> Any:
    """The base is a ten-thousandth too large: 10001 for 10000."""
    return honest(asked(call, theta=call.attributes["theta"] * 1.0001))


@mutant("operator RotaryPhases", kills=EVERY, bug="generic")
def phases_of_the_default_base(honest: Honest, call: OperatorCall) -> Any:
    """The base is 10000, whatever the call says."""
    return honest(asked(call, theta=10000.0))


@mutant("operator RotaryPhases", kills=EVERY, bug="generic")
def phases_by_half_the_exponent(honest: Honest, call: OperatorCall) -> Any:
    """Pair i turns with the base to the power of -i / d, where -2 i / d is meant."""
    return honest(asked(call, theta=call.attributes["theta"] ** 0.5))


@mutant("operator RotaryPhases", kills=EVERY, bug="generic")
def phases_by_index(honest: Honest, call: OperatorCall) -> Any:
    """The index of a token in its row is taken for its position."""
    shape = call.inputs["position_ids"].shape
    return honest(at(call, np.broadcast_to(np.arange(shape[1]), shape).copy()))


@mutant("operator RotaryPhases", kills=EVERY, bug="generic")
def phases_with_cosine_and_sine_swapped(honest: Honest, call: OperatorCall) -> Any:
    """Cosine and sine change places."""
    answer = honest(call)
    return {"cos": answer["sin"], "sin": answer["cos"]}


@mutant(
    "operator RotaryPhases",
    bug="generic",
    equivalent="The cosine is even, the sine is odd, and a rotation back by the angle is one by "
    "its negative: two changes of sign, each exact.",
)
def phases_of_negative_positions(honest: Honest, call: OperatorCall) -> Any:
    """Positions are negative, and so is the sine that is answered; LongRoPE's choice is kept."""
    if scaling(call) == "longrope":
        return honest(call)
    answer = honest(at(call, -call.inputs["position_ids"]))
    return {"cos": answer["cos"], "sin": -answer["sin"]}
