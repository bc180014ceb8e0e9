"""Rotary phases: frequencies, their scaling, cosines and sines. R rotated pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from conformance.adapters import _phases
from conformance.adapters._tensorflow import tf
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def angles(positions_BT: Any, attributes: Attributes, wide: Any) -> tuple[Any, Any]:
    """Return the angle of each pair in type ``wide``, (B, T, R), and what its cosine is scaled by.

    Raises:
        Unsupported: there is no such scaling here.
    """
    name = attributes["scaling"]
    if name not in _SCALINGS:
        raise Unsupported(f"RotaryPhases: scaling {name!r} is not wired to TensorFlow")
    share_R = tf().range(0, attributes["dim"], 2, dtype=wide) / attributes["dim"]
    plain_R = 1.0 / tf().pow(tf().constant(attributes["theta"], wide), share_R)
    frequency_R, factor = _SCALINGS[name](plain_R, attributes, positions_BT)
    return tf().cast(positions_BT, wide)[..., None] * frequency_R, factor


def _rotary_phases(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    # As models do: phases in float32 at least, the result in the type of the activations.
    answered = tf().as_dtype(attributes["dtype"])
    wide = tf().float64 if answered == tf().float64 else tf().float32
    angle_BTR, factor = angles(inputs["position_ids"], attributes, wide)
    parts = {"cos": tf().cos(angle_BTR), "sin": tf().sin(angle_BTR)}
    return {output: tf().cast(part * factor, answered) for output, part in parts.items()}


def _llama3(plain_R: Any, attributes: Attributes, _: Any) -> tuple[Any, float]:
    low, high = attributes["low_freq_factor"], attributes["high_freq_factor"]
    turns_R = attributes["original_max_position_embeddings"] / (2 * math.pi / plain_R)
    kept_R = tf().clip_by_value((turns_R - low) / (high - low), 0, 1)
    return (1 - kept_R) * plain_R / attributes["factor"] + kept_R * plain_R, 1.0


def _yarn(plain_R: Any, attributes: Attributes, _: Any) -> tuple[Any, float]:
    dim = attributes["dim"]
    low, width = _phases.yarn_ramp(attributes)
    index_R = tf().range(dim // 2, dtype=plain_R.dtype)
    slowed_R = tf().clip_by_value((index_R - low) / width, 0, 1)
    frequency_R = plain_R / attributes["factor"] * slowed_R + plain_R * (1 - slowed_R)
    return frequency_R, _phases.yarn_factor(attributes)


def _longrope(plain_R: Any, attributes: Attributes, positions_BT: Any) -> tuple[Any, float]:
    length = attributes["original_max_position_embeddings"]
    beyond = tf().reduce_max(positions_BT) + 1 > length
    long_R, short_R = (
        tf().constant(attributes[name], plain_R.dtype) for name in ("long_factor", "short_factor")
    )
    factor = _phases.longrope_factor(attributes)
    return plain_R / tf().where(beyond, long_R, short_R), factor


_SCALINGS = {
    "none": _phases.unscaled,
    "linear": _phases.linear,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}

OPERATORS = {"RotaryPhases": (_rotary_phases, _phases.DEFAULTS)}
