"""Rotary phases: from positions to cosines and sines, by the scalings that decoders use.

The ONNX standard takes tables of cosines and sines as they are given; who made them wrong is not
seen there. ``RotaryPhases`` makes them, with the keys of a checkpoint's ``config.json`` as
attributes. B batch, T tokens, R rotated pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError, did_you_mean
from conformance.oracles.operators.rotary import frequencies, llama3_share
from conformance.oracles.row import Operator
from conformance.oracles.units import ELEMENTARY, rounded, units
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]

_NEAR_AN_INTEGER = 1e-3
"""A corner of YaRN's ramp this close to an integer is rounded down by some and up by others."""


@dataclass(frozen=True, slots=True)
class Frequencies:
    """Rotations per position of each pair, and what all cosines and sines are multiplied by."""

    value: Array
    """Shape (R,)."""
    relative: Array
    """How far honest arithmetic carries them: relative errors in unit roundoffs, shape (R,)."""
    factor: float = 1.0
    """The attention factor."""
    factor_relative: float = 0.0


def phases(position_ids_BT: Array, frequencies_R: Array, factor: float = 1.0) -> tuple[Array, ...]:
    """Return factor * cos and factor * sin of position * frequency, each (B, T, R).

    The arithmetic is that of ``frequencies_R``.
    """
    number = frequencies_R.dtype.type
    angle = position_ids_BT[..., None].astype(frequencies_R.dtype) * frequencies_R
    return number(factor) * np.cos(angle), number(factor) * np.sin(angle)


def phases_bound(
    position_ids_BT: Array, found: Frequencies, contract: Contract
) -> tuple[Array, Array]:
    """Bound the error of cosines and sines in the phase type, each (B, T, R).

    The angle is off by d = position * frequency * (relative + 1) u, the 1 for its own product:
    an absolute error, which grows with the position. It moves the cosine by at most |sin| d + d**2
    / 2, and the sine by |cos| d + d**2 / 2. Cosine and sine err by 2 ulp of a number below 1, that
    is by 2 u (near their zeros the argument's reduction costs the relative error). The attention
    factor errs by itself, and by a product.
    """
    u = units(contract)
    size = np.abs(position_ids_BT)[..., None]
    own = 1 + (size * u.phase > 1)  # of the product, and of a position that the type cannot hold
    moved = size * found.value * (found.relative + own) * u.phase
    cos, sin = phases(position_ids_BT, found.value)
    scaled = (found.factor_relative + 1) * u.phase if found.factor != 1.0 else 0.0

    def bound(value: Array, slope: Array) -> Array:
        error = np.abs(slope) * moved + moved * moved / 2 + ELEMENTARY / 2 * u.phase
        error = np.minimum(error, 2.0)  # beyond that the angle says nothing
        y = found.factor * value
        return rounded(abs(found.factor) * error + scaled * np.abs(y), y, u)

    return bound(cos, sin), bound(sin, cos)


def _plain(theta: float, dim: int) -> tuple[Array, Array]:
    """Return theta**-e and its relative error in unit roundoffs, for e = 2 i / dim.

    By a power, e errs by 1 u, which the power multiplies by |ln f|; power and reciprocal err by
    themselves. By an exponential of e ln theta, the argument errs by 6 u of itself (e, the
    logarithm, their product). Whatever is raised to 0 is exactly 1 (IEEE 754-2019, section 9.2.1).
    """
    value = frequencies(theta, dim)
    relative = ELEMENTARY + 1 + (ELEMENTARY + 2) * np.abs(np.log(value))
    return value, np.where(value == 1, 0.0, relative)


def _mixed(plain: tuple[Array, Array], factor: float, kept: Array, lost: Array) -> Frequencies:
    """Return kept * f + (1 - kept) * f / factor, where ``kept`` errs by ``lost`` unit roundoffs.

    1 - kept, the quotient, a product and the sum err by 1 u each; an error of ``kept`` moves the
    frequency by f (1 - 1 / factor) of it.
    """
    f, relative = plain
    value = kept * f + (1 - kept) * f / factor
    moved = f * abs(1 - 1 / factor) * lost / value
    return Frequencies(value, np.where(kept == 1, relative, relative + 4 + moved))


def _none(attributes: Attributes, _: Array) -> Frequencies:
    """Return theta**(-2 i / dim) (arXiv:2104.09864, section 3.2.2)."""
    return Frequencies(*_plain(attributes["theta"], attributes["dim"]))


def _linear(attributes: Attributes, _: Array) -> Frequencies:
    """Return frequencies divided by the factor (arXiv:2306.15595, equation 4).

    Dividing the position in its place is the same, and errs by as much; it stays a fraction.
    """
    value, relative = _plain(attributes["theta"], attributes["dim"])
    return Frequencies(value / attributes["factor"], relative + 1)


def _llama3(attributes: Attributes, _: Array) -> Frequencies:
    """Return Llama 3's frequencies: fast pairs kept, slow ones divided, a ramp between.

    The number of turns errs by the frequency's error and 3 u (2 pi, a product, a quotient), the
    share that is kept by three roundings and the turns' error over high - low.
    """
    plain = _plain(attributes["theta"], attributes["dim"])
    low, high = attributes["low_freq_factor"], attributes["high_freq_factor"]
    length = attributes["original_max_position_embeddings"]
    kept = llama3_share(plain[0], low, high, length)
    turns = length * plain[0] / (2 * np.pi)
    lost = (turns * (plain[1] + 3) + 3 * np.abs(turns - low)) / (high - low)
    return _mixed(plain, attributes["factor"], kept, np.where((kept > 0) & (kept < 1), lost, 0.0))


def _yarn(attributes: Attributes, _: Array) -> Frequencies:
    """Return YaRN's frequencies (arXiv:2309.00071, section 3.2) and its attention factor.

    Decision: the ramp is linear in the index of the pair, as in the authors' code and in every
    runtime, and not in the number of turns as in the paper's equation; its corners are rounded
    outwards to integers unless ``truncate`` is 0.
    """
    dim, theta = attributes["dim"], attributes["theta"]
    low, high = (_corner(attributes, attributes[name]) for name in ("beta_fast", "beta_slow"))
    corners = 0.0 if attributes["truncate"] else 4 * ELEMENTARY  # of two logarithms and a quotient
    if attributes["truncate"]:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001  # the authors' code: a step in place of a ramp
    index = np.arange(dim // 2)
    ramp = np.clip((index - low) / (high - low), 0, 1)
    lost = (corners * (low + high) + low + 3 * np.abs(index - low)) / (high - low)
    kept, lost = 1 - ramp, np.where((ramp > 0) & (ramp < 1), lost + 1, 0.0)
    mixed = _mixed(_plain(theta, dim), attributes["factor"], kept, lost)
    return Frequencies(mixed.value, mixed.relative, *_yarn_factor(attributes))


def _corner(attributes: Attributes, turns: float) -> float:
    """Return the (fractional) index of the pair that turns so often in the original context."""
    length = attributes["original_max_position_embeddings"]
    logarithm = math.log(length / (turns * 2 * math.pi))
    corner: float = attributes["dim"] * logarithm / (2 * math.log(attributes["theta"]))
    if attributes["truncate"] and abs(corner - round(corner)) < _NEAR_AN_INTEGER:
        raise SpecError(f"RotaryPhases: a corner of the ramp is {corner}, too near an integer")
    return corner


def _yarn_factor(attributes: Attributes) -> tuple[float, float]:
    """Return the attention factor, 1 + 0.1 ln(factor) unless it is given, and its relative error.

    With ``mscale`` and ``mscale_all_dim`` (DeepSeek-V2) it is (1 + 0.1 mscale ln(factor)) / (1 +
    0.1 mscale_all_dim ln(factor)). Each of the two errs by a logarithm, three products and a sum.
    """
    if attributes["attention_factor"]:
        return attributes["attention_factor"], 1.0

    def scale(weight: float) -> tuple[float, float]:
        grown = 0.1 * weight * math.log(max(attributes["factor"], 1.0))
        return 1 + grown, (ELEMENTARY + 3) * grown / (1 + grown) + 1

    if not (attributes["mscale"] and attributes["mscale_all_dim"]):
        return scale(1.0)
    (above, one), (below, other) = scale(attributes["mscale"]), scale(attributes["mscale_all_dim"])
    return above / below, one + other + 1


def _longrope(attributes: Attributes, position_ids_BT: Array) -> Frequencies:
    """Return LongRoPE's frequencies (arXiv:2402.13753), each divided by a factor of its own.

    Decision, as in Transformers and in the authors' code: when any position of the batch lies
    beyond the original context, every position takes the long factors. The attention factor is
    sqrt(1 + ln(factor) / ln(original context)).
    """
    length, factor = attributes["original_max_position_embeddings"], attributes["factor"]
    beyond = position_ids_BT.max(initial=0) + 1 > length
    stretch = np.array(attributes["long_factor" if beyond else "short_factor"], dtype=np.float64)
    value, relative = _plain(attributes["theta"], attributes["dim"])
    if stretch.shape != value.shape:
        raise SpecError(f"RotaryPhases: {stretch.size} factors for {value.size} rotated pairs")
    found = value / stretch, relative + 1
    if attributes["attention_factor"]:
        return Frequencies(*found, attributes["attention_factor"], 1.0)
    grown = math.log(max(factor, 1.0)) / math.log(length)
    root_relative = ((2 * ELEMENTARY + 1) * grown / (1 + grown) + 1) / 2 + ELEMENTARY
    return Frequencies(*found, math.sqrt(1 + grown), root_relative)


_SCALINGS: dict[str, Callable[[Attributes, Array], Frequencies]] = {
    "none": _none,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}


def scaled_frequencies(attributes: Attributes, position_ids_BT: Array) -> Frequencies:
    """Return the frequencies that a call's attributes ask for.

    Raises:
        SpecError: the scaling is unknown.
    """
    name = attributes["scaling"]
    if name not in _SCALINGS:
        raise SpecError(f"RotaryPhases: unknown scaling {name!r}.{did_you_mean(name, _SCALINGS)}")
    return _SCALINGS[name](attributes, position_ids_BT)


def _rotary_phases(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    positions = inputs["position_ids"]
    found = scaled_frequencies(attributes, positions)
    cos, sin = phases(positions, found.value, found.factor)
    cos_bound, sin_bound = phases_bound(positions, found, contract)
    return {"cos": (cos, cos_bound), "sin": (sin, sin_bound)}


OPERATORS = {
    # ``dtype`` names the type of cos and sin, which no input tells; phases are never narrower than
    # float32. 0 stands for an attention factor that follows from the others.
    "RotaryPhases": Operator(
        23,
        ("position_ids",),
        ("cos", "sin"),
        _rotary_phases,
        attributes={
            "theta": 10000.0,
            "dim": None,
            "dtype": "float32",
            "scaling": "none",
            "factor": 1.0,
            "original_max_position_embeddings": 0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": 1,
            "attention_factor": 0.0,
            "mscale": 0.0,
            "mscale_all_dim": 0.0,
            "short_factor": (),
            "long_factor": (),
        },
        domain=OWN_DOMAIN,
    ),
}
