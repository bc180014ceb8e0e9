"""Attention, by the settings of a case.

A setting is a value, or a list of values to draw from. Attributes of the operator are settings by
their own names; the others, with their defaults, are those of ``_DEFAULTS``:

* ``batch``, ``kv_heads``, ``group`` (query heads for each key/value head), ``queries``, ``keys``
  (of this call), ``square`` (as many keys as queries), ``past`` (keys before them; -1 for a call
  without a cache), ``dim``, ``v_dim`` (0 for that of the keys), ``flat`` (inputs of 3 dimensions);
* ``size``: standard deviation of queries and keys; ``score``: what all scores lie around;
* ``mask``, its ``shape`` and what it hides: see :mod:`conformance.inputs.operators.masks`;
* ``left_of_keys``: ``left_window_size`` as the number of all keys plus this;
* ``one_hot``: values that are one-hot by key, so that the output is the weights;
* ``strided``: keys whose memory is laid out as (B, S, G, K), as projections leave them;
* ``show``: ask for ``qk_matmul_output`` too.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.masks import with_mask
from conformance.inputs.operators.numbers import SEEDS, Numbers, with_inputs
from conformance.records import OWN_DOMAIN, OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Settings = Mapping[str, Any]
    Strategy = st.SearchStrategy[Any]

_LENGTHS = [1, 2, 3, 5, 16, 17, 33]
_DEFAULTS: Settings = {
    "batch": 2,
    "kv_heads": [1, 2, 3],
    "group": 1,
    "queries": _LENGTHS,
    "keys": _LENGTHS,
    "square": False,
    "past": -1,
    "dim": [1, 2, 3, 8, 16, 24, 64],
    "v_dim": 0,
    "flat": False,
    "size": 1.0,
    "score": 0.0,
    "one_hot": False,
    "strided": False,
    "show": False,
    "opset": 23,
}
_CACHE, _SCORES = ("present_key", "present_value"), ("qk_matmul_output",)
_ATTRIBUTES = {
    "is_causal": int,
    "left_window_size": int,
    "qk_matmul_output_mode": int,
    "right_window_size": int,
    "scale": float,
    "softcap": float,
}


def attentions(operators: CheckedOperators, case: Settings) -> Strategy:
    """Attention with what the case says of heads, lengths, numbers, mask and attributes."""
    return st.builds(partial(_call, operators), SEEDS, _drawn(case))


def attentions_with_sinks(operators: CheckedOperators, case: Settings) -> Strategy:
    """AttentionWithSinks; the setting ``sink`` is what all sinks lie around, ``spread`` how far."""

    def make(seed: int, settings: Settings) -> OperatorCall:
        call = _call(operators, seed, settings)
        heads, dtype = call.inputs["Q"].shape[1], operators.dtype
        # Distinct by head: a sink of another head is then another number.
        sinks = settings["sink"] + np.linspace(-1.0, 1.0, heads) * settings["spread"]
        return _own(call, "AttentionWithSinks", sinks=sinks.astype(dtype))

    return st.builds(make, SEEDS, _drawn({"sink": 0.0, "spread": 1.0, "mask": "boolean", **case}))


def attentions_with_alibi(operators: CheckedOperators, case: Settings) -> Strategy:
    """AttentionWithAlibi of queries that are the last of the keys."""

    def make(seed: int, settings: Settings) -> OperatorCall:
        longest = max(settings["queries"], settings["keys"])
        call = _call(operators, seed, {**settings, "keys": longest})
        own = _own(call, "AttentionWithAlibi")
        return dataclasses.replace(own, attributes={"q_num_heads": call.inputs["Q"].shape[1]})

    return st.builds(make, SEEDS, _drawn(case))


def _own(call: OperatorCall, operator: str, **inputs: Array) -> OperatorCall:
    return with_inputs(dataclasses.replace(call, operator=operator, domain=OWN_DOMAIN), **inputs)


def _drawn(case: Settings) -> Strategy:
    """Draw a value of each setting."""
    return st.fixed_dictionaries(
        {
            name: st.sampled_from(value if isinstance(value, list) else [value])
            for name, value in {**_DEFAULTS, **case}.items()
        }
    )


def _call(operators: CheckedOperators, seed: int, settings: Settings) -> OperatorCall:
    numbers = Numbers(operators, seed)
    inputs = _tensors(numbers, settings)
    attributes = {
        name: kind(settings[name]) for name, kind in _ATTRIBUTES.items() if name in settings
    }
    past = max(settings["past"], 0)
    total = past + inputs["K"].shape[2]
    if "left_of_keys" in settings:
        attributes["left_window_size"] = max(total + settings["left_of_keys"], 0)
    if "mask" in settings:
        inputs = with_mask(inputs, numbers, settings, total)
    if settings["one_hot"]:
        inputs = _one_hot(inputs, total)
    if settings["flat"]:
        attributes |= {"q_num_heads": inputs["Q"].shape[1], "kv_num_heads": inputs["K"].shape[1]}
        inputs |= {name: _flat(inputs[name]) for name in ("Q", "K", "V")}
    outputs = ("Y", *_CACHE * (past == settings["past"]), *_SCORES * settings["show"])
    return OperatorCall("Attention", settings["opset"], inputs, attributes, outputs)


def _tensors(numbers: Numbers, settings: Settings) -> dict[str, Array]:
    """Return Q (B, H, T, K), K and V (B, G, S, K), and with a cache its keys and values."""
    batch, heads, dim = settings["batch"], settings["kv_heads"], settings["dim"]
    v_dim, queries = settings["v_dim"] or dim, settings["queries"]
    keys = queries if settings["square"] else settings["keys"]
    # Added to each number of a query and of a key, these give every score about the wanted size.
    apart = (abs(settings["score"]) / dim**0.5) ** 0.5
    side = -apart if settings["score"] < 0 else apart
    size = settings["size"] / (1 + 9 * bool(apart))
    key = partial(numbers.normal, batch, heads, scale=size, mean=apart)
    tensors = {
        "Q": numbers.normal(batch, heads * settings["group"], queries, dim, scale=size, mean=side),
        "K": _laid_out(key, keys, dim) if settings["strided"] else key(keys, dim),
        "V": numbers.normal(batch, heads, keys, v_dim),
    }
    if settings["past"] >= 0:
        tensors["past_key"] = key(settings["past"], dim)
        tensors["past_value"] = numbers.normal(batch, heads, settings["past"], v_dim)
    return tensors


def _laid_out(key: Any, keys: int, dim: int) -> Array:
    """Return keys (B, G, S, K) as a view of an array that is contiguous as (B, S, G, K)."""
    contiguous = np.ascontiguousarray(np.swapaxes(key(keys, dim), 1, 2))
    return np.swapaxes(contiguous, 1, 2)


def _one_hot(inputs: Mapping[str, Array], total: int) -> dict[str, Array]:
    """Return inputs with V = identity, the past's part included."""
    batch, heads = inputs["K"].shape[:2]
    identity = np.eye(total, dtype=inputs["V"].dtype)
    whole = np.broadcast_to(identity, (batch, heads, total, total))
    past = total - inputs["K"].shape[2]
    values = {"V": whole[:, :, past:], "past_value": whole[:, :, :past]}
    return {**inputs, **{name: x.copy() for name, x in values.items() if name in inputs}}


def _flat(x_BHTK: Array) -> Array:
    """Return (B, T, H K)."""
    batch, _, tokens, _ = x_BHTK.shape
    return np.swapaxes(x_BHTK, 1, 2).reshape(batch, tokens, -1)


def one_hot_values(call: OperatorCall) -> OperatorCall:
    """Return the same attention with V = identity, so that the output is the weights."""
    total = call.inputs["K"].shape[2]
    if "past_key" in call.inputs:
        total += call.inputs["past_key"].shape[2]
    return dataclasses.replace(call, inputs=_one_hot(call.inputs, total))


def poisons(dtype: np.dtype[Any]) -> list[float]:
    """Return the finite numbers to put under a mask, those that the type has."""
    largest = float(ml_dtypes.finfo(dtype).max)
    return [poison for poison in (1e3, -1e30) if abs(poison) <= largest]


def poisoned(call: OperatorCall, poison: float, under: str = "KV") -> OperatorCall:
    """Return the same attention with what stands under its mask overwritten.

    Args:
        call: attention with a mask (T, S) that hides the same keys from every query.
        poison: the number to write.
        under: the inputs to write it to.
    """
    mask = call.inputs["attn_mask"]
    hidden = ~mask[0] if mask.dtype == np.bool_ else np.isneginf(mask[0])
    overwritten = {name: call.inputs[name].copy() for name in under}
    for x in overwritten.values():
        x[:, :, hidden] = poison
    return with_inputs(call, **overwritten)


def poisoned_attentions(operators: CheckedOperators, case: Settings) -> Strategy:
    """Attention with ``poison`` (``nan``, ``inf``) ``under`` its mask, in keys or in values."""

    def make(seed: int, settings: Settings) -> OperatorCall:
        call = _call(operators, seed, settings)
        return poisoned(call, float(settings["poison"]), settings["under"])

    return st.builds(make, SEEDS, _drawn({**case, "hides": "keys"}))


def attentions_with_a_nan(operators: CheckedOperators, case: Settings) -> Strategy:
    """Attention in which one number of one query is NaN."""

    def make(seed: int, settings: Settings) -> OperatorCall:
        call = _call(operators, seed, settings)
        q_BHTK = call.inputs["Q"].copy()
        place = Numbers(operators, seed).below(2**30, 4) % q_BHTK.shape
        q_BHTK[tuple(place)] = np.nan
        return with_inputs(call, Q=q_BHTK)

    return st.builds(make, SEEDS, _drawn(case))
