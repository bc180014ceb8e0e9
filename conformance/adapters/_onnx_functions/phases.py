"""Rotary phases, as an exporter writes them: numbers as constants, their arithmetic as nodes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Attributes = Mapping[str, Any]
    Constant = Callable[[str, float | Sequence[float]], str]

_KINDS = {"float32": 1, "float16": 10, "float64": 11, "bfloat16": 16}
"""ONNX's numbers of the types."""

_DEFAULTS = {
    "theta": 10000.0,
    "dtype": "float32",
    "scaling": "none",
    "factor": 1.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": 1,
}


def _rotary_phases(attributes: Attributes) -> str:
    attributes = {name: _stored(value) for name, value in {**_DEFAULTS, **attributes}.items()}
    if attributes["scaling"] not in _SCALINGS:
        raise Unsupported(f"RotaryPhases: scaling {attributes['scaling']!r} is not written out")
    # As in models: phases in float32 at least, the result in the type of the activations.
    wide = "double" if attributes["dtype"] == "float64" else "float"

    def constant(name: str, value: float | Sequence[float]) -> str:
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
        text = ", ".join(repr(float(number)) for number in numbers)
        shape = f"[{len(numbers)}]" if np.ndim(value) else ""
        return f"{name} = Constant <value = {wide}{shape} {{{text}}}> ()"

    dim = attributes["dim"]
    return f"""
        {constant("theta", attributes["theta"])}
        {constant("exponent", [2 * i / dim for i in range(dim // 2)])}
        {constant("one", 1.0)}
        power = Pow (theta, exponent)
        plain = Reciprocal (power)
        {_SCALINGS[attributes["scaling"]](attributes, constant)}
        last = Constant <value_ints = [-1]> ()
        column = Unsqueeze (position_ids, last)
        position = Cast <to = {11 if wide == "double" else 1}> (column)
        angle = Mul (position, frequency)
        cosine = Cos (angle)
        sine = Sin (angle)
        cosine_times = Mul (cosine, times)
        sine_times = Mul (sine, times)
        cos = Cast <to = {_KINDS[attributes["dtype"]]}> (cosine_times)
        sin = Cast <to = {_KINDS[attributes["dtype"]]}> (sine_times)
    """


def _stored(value: Any) -> Any:
    """Return a float attribute as ONNX stores it, in float32; others unchanged."""
    return float(np.float32(value)) if isinstance(value, float) else value


def _none(_: Attributes, constant: Constant) -> str:
    return f"""
        {constant("times", 1.0)}
        frequency = Identity (plain)
    """


def _linear(attributes: Attributes, constant: Constant) -> str:
    return f"""
        {constant("times", 1.0)}
        {constant("factor", attributes["factor"])}
        frequency = Div (plain, factor)
    """


def _llama3(attributes: Attributes, constant: Constant) -> str:
    low, high = attributes["low_freq_factor"], attributes["high_freq_factor"]
    length = attributes["original_max_position_embeddings"]
    return f"""
        {constant("zero", 0.0)}
        {constant("low", low)}
        {constant("width", high - low)}
        {constant("turns_at_1", length / (2 * math.pi))}
        turns = Mul (plain, turns_at_1)
        above = Sub (turns, low)
        share = Div (above, width)
        kept = Clip (share, zero, one)
        {_mixed(attributes, constant)}
        {constant("times", 1.0)}
    """


def _mixed(attributes: Attributes, constant: Constant) -> str:
    return f"""
        {constant("factor", attributes["factor"])}
        slowed = Div (plain, factor)
        gone = Sub (one, kept)
        slow_part = Mul (gone, slowed)
        fast_part = Mul (kept, plain)
        frequency = Add (slow_part, fast_part)
    """


def _yarn(attributes: Attributes, constant: Constant) -> str:
    dim, length = attributes["dim"], attributes["original_max_position_embeddings"]

    def corner(turns: float) -> float:
        logarithm = math.log(length / (turns * 2 * math.pi))
        return float(dim * logarithm / (2 * math.log(attributes["theta"])))

    low, high = corner(attributes["beta_fast"]), corner(attributes["beta_slow"])
    if attributes["truncate"]:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    width = (high - low) or 0.001
    kept = [1 - min(max((i - low) / width, 0.0), 1.0) for i in range(dim // 2)]
    return f"""
        {constant("kept", kept)}
        {_mixed(attributes, constant)}
        {constant("times", attributes.get("attention_factor") or _yarn_factor(attributes))}
    """


def _yarn_factor(attributes: Attributes) -> float:
    logarithm = math.log(max(attributes["factor"], 1.0))
    weights = [float(attributes.get(name, 0.0)) for name in ("mscale", "mscale_all_dim")]
    above, below = weights if all(weights) else (1.0, 0.0)
    return float((1 + 0.1 * above * logarithm) / (1 + 0.1 * below * logarithm))


def _longrope(attributes: Attributes, constant: Constant) -> str:
    length = attributes["original_max_position_embeddings"]
    share = math.log(max(attributes["factor"], 1.0)) / math.log(length)
    times = attributes.get("attention_factor") or math.sqrt(1 + share)
    return f"""
        {constant("short", attributes["short_factor"])}
        {constant("long", attributes["long_factor"])}
        longest = ReduceMax <keepdims = 0> (position_ids)
        length = Constant <value_int = {length}> ()
        beyond = GreaterOrEqual (longest, length)
        stretch = Where (beyond, long, short)
        stretched = Mul (power, stretch)
        frequency = Reciprocal (stretched)
        {constant("times", times)}
    """


_SCALINGS: dict[str, Callable[[Attributes, Constant], str]] = {
    "none": _none,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}

FUNCTIONS = {"RotaryPhases": _rotary_phases}
