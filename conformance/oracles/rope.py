"""Rotary position embedding of a decoder: what its config says, and the frequencies of its pairs.

A reader of its own, independent of the reference model's. R rotated pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import PackageError, did_you_mean
from conformance.oracles.operators import rotary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding: base, and how its frequencies are scaled."""

    theta: float
    kind: str = "default"
    """``default``, ``linear``, ``llama3``, ``yarn`` or ``longrope``."""
    factor: float = 1.0
    low: float = 1.0
    """Turns within ``original_positions`` below which a pair is slowed by ``factor``."""
    high: float = 4.0
    """Turns above which it is not."""
    original_positions: int = 0
    truncate: bool = True
    """Whether the borders of YaRN's ramp are whole pairs."""
    attention_factor: float = 1.0
    """What cosines and sines are multiplied by."""
    short: tuple[float, ...] = ()
    """By pair, what LongRoPE divides its frequency by, in batches of the original length."""
    long: tuple[float, ...] = ()
    """The same in batches that go beyond it."""
    share: float = 1.0
    """How much of each head is turned, its first channels."""
    neighbours: bool = False
    """Whether channels 2 i and 2 i + 1 are a pair, and not i and the i-th of the second half."""


def rope_frequencies(
    rope: Rope,
    head_dim: int,
    dtype: str = "float64",
    form: str = "power",
    *,
    beyond: bool = False,
) -> Array:
    """Return the rotation per position of each pair after scaling, (R,).

    Args:
        rope: what the config says.
        head_dim: channels of a head, those that are not turned among them.
        dtype: the type of the arithmetic.
        form: see ``rotary.frequencies``.
        beyond: whether any position of the batch lies beyond the original length.
    """
    head_dim = int(head_dim * rope.share)
    plain = rotary.frequencies(rope.theta, head_dim, dtype, form)
    if rope.kind == "longrope":
        stretched: Array = plain / np.array(rope.long if beyond else rope.short, plain.dtype)
        return stretched
    if rope.kind == "llama3":
        return rotary.llama3_frequencies(
            plain, rope.factor, rope.low, rope.high, rope.original_positions
        )
    scaled: Array = plain / plain.dtype.type(rope.factor)
    if rope.kind == "yarn":
        slowed = _yarn_ramp(rope, head_dim).astype(plain.dtype)
        scaled = scaled * slowed + plain * (1 - slowed)
    return scaled


def _yarn_ramp(rope: Rope, head_dim: int) -> Array:
    """Return how far each pair is slowed, from 0 to 1, (R,).

    Source:
        YaRN (arXiv:2309.00071), section 3.2, definition 2, with the authors' ramp: linear in the
        pair's index. A pair of wavelength w turns L / w times within the original length L.
    """

    def index(turns: float) -> float:
        wavelength = rope.original_positions / turns  # 2 pi theta**(2 i / head_dim)
        return 0.5 * head_dim * math.log(wavelength / (2 * math.pi), rope.theta)

    fast, slow = index(rope.high), index(rope.low)
    if rope.truncate:
        fast, slow = math.floor(fast), math.ceil(slow)
    fast, slow = max(fast, 0.0), min(slow, head_dim - 1.0)
    width = slow - fast or 1e-3  # the authors' code: a step, where there is no room for a ramp
    ramp: Array = np.clip((np.arange(head_dim // 2) - fast) / width, 0.0, 1.0)
    return ramp


def need(config: Mapping[str, Any], key: str, place: str = "") -> Any:
    """Return the value of a key that has no default.

    Raises:
        PackageError: it is missing.
    """
    if config.get(key) is None:
        raise PackageError(f"{place}{key} is missing.{did_you_mean(key, config)}")
    return config[key]


def read_phi3_rope(config: Mapping[str, Any]) -> Rope:
    """Read Phi-3's: a share of each head, and LongRoPE of a length that stands beside it.

    Source:
        LongRoPE (arXiv:2402.13753) and its code, of the attention factor and of the switch to the
        long factors; the factor by which contexts grew is the quotient of the two lengths.

    Raises:
        PackageError: as for ``read_rope``.
    """
    places = config, config.get("rope_scaling") or {}, config.get("rope_parameters") or {}
    given = {key: value for place in places for key, value in place.items() if value is not None}
    theta, share = float(need(given, "rope_theta")), float(given.get("partial_rotary_factor", 1.0))
    kind = given.get("rope_type") or given.get("type") or "default"
    if kind == "default":
        return Rope(theta, share=share)
    if kind != "longrope":
        raise PackageError(f"rope_type is {kind!r}; the oracle scales a phi3 by longrope alone")
    length = int(need(given, "original_max_position_embeddings"))
    grown = float(given.get("factor", need(given, "max_position_embeddings") / length))
    root = math.sqrt(1 + math.log(grown) / math.log(length)) if grown > 1 else 1.0
    short, long = (
        tuple(float(one) for one in need(given, key)) for key in ("short_factor", "long_factor")
    )
    return Rope(
        theta,
        kind,
        grown,
        original_positions=length,
        attention_factor=float(given.get("attention_factor", root)),
        short=short,
        long=long,
        share=share,
    )


def read_glm4_rope(config: Mapping[str, Any]) -> Rope:
    """Read GLM-4's (arXiv:2406.12793): pairs of neighbours, in the first share of each head.

    Raises:
        PackageError: as for ``read_rope``.
    """
    places = config, config.get("rope_scaling") or {}, config.get("rope_parameters") or {}
    given = {key: value for place in places for key, value in place.items() if value is not None}
    kind = given.get("rope_type") or given.get("type") or "default"
    if kind != "default":
        raise PackageError(f"rope_type is {kind!r}; the oracle scales no glm4")
    share = float(need(given, "partial_rotary_factor"))
    return Rope(float(need(given, "rope_theta")), share=share, neighbours=True)


def read_rope(config: Mapping[str, Any]) -> Rope:
    """Read the base and its scaling: ``rope_parameters`` (transformers 5) or the two older keys.

    Raises:
        PackageError: a key is missing, or asks for something that the oracle does not compute.
    """
    parameters = config.get("rope_parameters") or {
        "rope_theta": config.get("rope_theta"),
        **(config.get("rope_scaling") or {}),
    }
    # Without a base a Llama configuration means 10000, by the class of its first release.
    theta = parameters.get("rope_theta") or config.get("rope_theta") or 10000.0
    if parameters.get("partial_rotary_factor", 1.0) != 1.0:
        raise PackageError(
            f"partial_rotary_factor is {parameters['partial_rotary_factor']}; the oracle "
            "rotates whole heads only"
        )
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    if kind not in _SCALINGS:
        raise PackageError(f"rope_type is {kind!r}.{did_you_mean(str(kind), _SCALINGS)}")
    numbers = {
        field: number(need(parameters, key, "rope scaling: "))
        for field, (key, number) in _SCALINGS[kind].items()
    }
    if kind == "yarn":
        numbers |= _yarn_options(parameters, numbers["factor"])
    return Rope(float(theta), kind, **numbers)


def read_yarn(config: Mapping[str, Any]) -> Rope:
    """Read the rotation of a family that YaRN scales, and for which readers assume a scaling.

    Raises:
        PackageError: there is none, or as for ``read_rope``.
    """
    rope = read_rope(config)
    if rope.kind != "yarn":
        raise PackageError(f"rope_type is {rope.kind!r}; a {config['model_type']} has 'yarn'")
    return rope


def _yarn_options(parameters: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Read what YaRN's paper recommends a value for, where a checkpoint does not give its own.

    Source:
        arXiv:2309.00071, sections 3.2 (borders of 32 turns and 1) and 3.3 (of the attention
        factor); with two weights, arXiv:2405.04434 (DeepSeek-V2), section 3.1.4 and its code.
    """
    given = {key: value for key, value in parameters.items() if value is not None}
    options: dict[str, Any] = {
        "high": float(given.get("beta_fast", 32)),
        "low": float(given.get("beta_slow", 1)),
        "truncate": bool(given.get("truncate", True)),
    }
    if "attention_factor" in given:
        return {**options, "attention_factor": float(given["attention_factor"])}
    weights = given.get("mscale", 1.0), given.get("mscale_all_dim", 0.0)
    if ("mscale" in given) != ("mscale_all_dim" in given):
        raise PackageError(
            f"mscale and mscale_all_dim are {weights}; the oracle knows both or none"
        )
    above, below = (1 + 0.1 * float(weight) * math.log(factor) for weight in weights)
    return {**options, "attention_factor": above / below}


_SCALINGS: Mapping[str, Mapping[str, tuple[str, Any]]] = {
    "default": {},
    "linear": {"factor": ("factor", float)},
    "llama3": {
        "factor": ("factor", float),
        "low": ("low_freq_factor", float),
        "high": ("high_freq_factor", float),
        "original_positions": ("original_max_position_embeddings", int),
    },
    "yarn": {
        "factor": ("factor", float),
        "original_positions": ("original_max_position_embeddings", int),
    },
}
"""The keys of each kind of scaling, by the field of ``Rope`` that they fill."""
