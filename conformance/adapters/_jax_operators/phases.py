"""Rotary phases: frequencies, their scaling, cosines and sines. R rotated pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from conformance.adapters import _phases
from conformance.adapters._jax import numpy
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def cos_and_sin(positions_BT: Any, attributes: Attributes) -> tuple[Any, Any]:
    """Return the cosines and sines of each position, (B, T, R), by the attributes of RotaryPhases.

    As models do: phases in float32, the result in the type of the activations.

    Raises:
        Unsupported: there is no such scaling or type here.
    """
    jnp, name, answered = numpy(), attributes["scaling"], attributes["dtype"]
    if name not in _SCALINGS or answered == "float64":
        raise Unsupported(f"RotaryPhases: scaling {name!r} in {answered} is not wired to JAX")
    index_R = jnp.arange(0, attributes["dim"], 2, dtype=jnp.float32)
    plain_R = 1.0 / attributes["theta"] ** (index_R / attributes["dim"])
    frequency_R, factor = _SCALINGS[name](plain_R, attributes, positions_BT)
    angle_BTR = positions_BT.astype(jnp.float32)[..., None] * frequency_R
    cos, sin = ((turn(angle_BTR) * factor).astype(answered) for turn in (jnp.cos, jnp.sin))
    return cos, sin


def _rotary_phases(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    cos, sin = cos_and_sin(inputs["position_ids"], attributes)
    return {"cos": cos, "sin": sin}


def _llama3(plain_R: Any, attributes: Attributes, _: Any) -> tuple[Any, float]:
    low, high = attributes["low_freq_factor"], attributes["high_freq_factor"]
    turns_R = attributes["original_max_position_embeddings"] / (2 * math.pi / plain_R)
    kept_R = numpy().clip((turns_R - low) / (high - low), 0, 1)
    return (1 - kept_R) * plain_R / attributes["factor"] + kept_R * plain_R, 1.0


def _yarn(plain_R: Any, attributes: Attributes, _: Any) -> tuple[Any, float]:
    jnp, dim = numpy(), attributes["dim"]
    low, width = _phases.yarn_ramp(attributes)
    index_R = jnp.arange(dim // 2, dtype=plain_R.dtype)
    slowed_R = jnp.clip((index_R - low) / width, 0, 1)
    frequency_R = plain_R / attributes["factor"] * slowed_R + plain_R * (1 - slowed_R)
    return frequency_R, _phases.yarn_factor(attributes)


def _longrope(plain_R: Any, attributes: Attributes, positions_BT: Any) -> tuple[Any, float]:
    jnp, length = numpy(), attributes["original_max_position_embeddings"]
    stretches = (attributes[name] for name in ("long_factor", "short_factor"))
    long_R, short_R = (jnp.asarray(stretch, plain_R.dtype) for stretch in stretches)
    stretch_R = jnp.where(positions_BT.max() + 1 > length, long_R, short_R)
    return plain_R / stretch_R, _phases.longrope_factor(attributes)


_SCALINGS = {
    "none": _phases.unscaled,
    "linear": _phases.linear,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}

OPERATORS = {"RotaryPhases": (_rotary_phases, _phases.DEFAULTS)}
