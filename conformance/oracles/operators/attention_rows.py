"""Attention by the ONNX standard's calls: shapes, caches, masks, windows, and what is left open.

Decisions, where the text was ambiguous or wrong in some release:

* Query head h uses key/value head h // (H / G). The function body of the first release tiled the
  heads (onnx issue 7274); its text, the evaluator and every runtime repeat them.
* Positions count from the first key that the query's block comes after: query i stands at
  ``offset`` + i, and with ``is_causal`` sees the keys up to there. The offset is the length of the
  past; with ``nonpad_kv_seqlen``, that less the number of queries; and 0 with neither. So without a
  past the triangle is top-left also where T != S, as text and evaluator have it since 1.23;
  "bottom-right" is what that comes to where the queries are the last of the keys.
* A query that may attend to no key has the output 0, not NaN (erratum of 1.23), unless the
  candidate claims otherwise: contract term ``query_without_keys``.
* What NaN and infinity under a mask do, the text does not say. By its formula they are added to
  minus infinity and multiplied by 0, which is NaN; a candidate may claim that they do nothing:
  contract term ``nan_under_mask``.
* The softcap comes before the mask (the body of the first release had it after).
* A mask shorter than the keys is continued with -inf, that is, False. One of a single column could
  as well be broadcast over the keys; the evaluator continues it.
* ``softmax_precision`` asks for at least that precision; fp64 has it, so it changes nothing.
* The root of the scale is as exact as the contract's sums. The function body takes it in float32
  whatever the type, which is no fp64.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError
from conformance.oracles.operators.attention import (
    Attention,
    attention,
    attention_bound,
    mask_bias,
    repeat_heads,
)
from conformance.oracles.row import Operator
from conformance.oracles.units import rounded, units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.row import Answer
    from conformance.records import Contract

    Array = NDArray[Any]
    Pair = tuple[Attention, Attention]
    """Attention and its bounds."""

_MODES = ("scores", "capped", "biased", "weights")
"""What ``qk_matmul_output`` shows, by ``qk_matmul_output_mode``."""


def _attention(
    inputs: Mapping[str, Array], attributes: Mapping[str, Any], contract: Contract
) -> Answer:
    """Return value and bound of each output of Attention."""
    q, k, v = (_heads(name, inputs, attributes) for name in ("Q", "K", "V"))
    if ("past_key" in inputs) != ("past_value" in inputs):
        raise SpecError("Attention: past_key and past_value are given together or not at all")
    if "past_key" in inputs:
        k = np.concatenate([inputs["past_key"], k], axis=2)
        v = np.concatenate([inputs["past_value"], v], axis=2)
    bias = _bias(inputs.get("attn_mask"), q.shape[2], k.shape[2])
    bias = bias + mask_bias(_visible(inputs, attributes, q.shape[2], k.shape[2]), "float64")
    scale = attributes["scale"]
    options = {
        "scale": q.shape[-1] ** -0.5 if scale is None else scale,
        "softcap": attributes["softcap"],
    }
    value, bound = _by_policy(q, k, v, bias, options, contract)
    shown = _MODES[attributes["qk_matmul_output_mode"]]
    flat = inputs["Q"].ndim == 3
    return {
        "Y": (_joined(value.output, flat=flat), _joined(bound.output, flat=flat)),
        "present_key": (k, np.zeros(k.shape)),
        "present_value": (v, np.zeros(v.shape)),
        "qk_matmul_output": (getattr(value, shown), getattr(bound, shown)),
    }


def _heads(name: str, inputs: Mapping[str, Array], attributes: Mapping[str, Any]) -> Array:
    """Return an input as (B, heads, T, K)."""
    x = inputs[name]
    if x.ndim == 4:
        return x
    count = attributes["q_num_heads" if name == "Q" else "kv_num_heads"]
    if x.ndim != 3 or not count:
        raise SpecError(
            f"Attention: {name} has {x.ndim} dimensions and {count} heads by attribute; it has "
            "either 4 dimensions, or 3 and a number of heads"
        )
    return x.reshape(*x.shape[:2], count, -1).swapaxes(1, 2)


def _joined(x_BHTK: Array, *, flat: bool) -> Array:
    """Return (B, T, H K) for three-dimensional inputs."""
    if not flat:
        return x_BHTK
    batch, _, tokens, _ = x_BHTK.shape
    return x_BHTK.swapaxes(1, 2).reshape(batch, tokens, -1)


def _bias(mask: Array | None, queries: int, keys: int) -> Array:
    """Return what the mask adds to the scores, broadcastable to BHTS."""
    if mask is None:
        return np.zeros((queries, keys))
    boolean = mask.dtype == np.bool_
    bias = mask_bias(mask, "float64") if boolean else mask
    missing = [(0, 0)] * (bias.ndim - 1) + [(0, keys - bias.shape[-1])]
    return np.pad(bias, missing, constant_values=-np.inf)


def _visible(
    inputs: Mapping[str, Array], attributes: Mapping[str, Any], queries: int, keys: int
) -> Array:
    """Return which keys a query's position lets it see, (T, S) or (B, 1, T, S)."""
    length_B = inputs.get("nonpad_kv_seqlen")
    offset = inputs["past_key"].shape[2] if "past_key" in inputs else 0
    key_S = np.arange(keys)
    visible = np.full((queries, keys), fill_value=True)
    if length_B is not None:
        if "past_key" in inputs:
            raise SpecError("Attention: nonpad_kv_seqlen is for a cache without past_key")
        length_B111 = length_B.reshape(-1, 1, 1, 1)
        offset, visible = length_B111 - queries, key_S < length_B111
    ahead = key_S - (np.arange(queries)[:, None] + offset)
    before, behind = attributes["left_window_size"], attributes["right_window_size"]
    if attributes["is_causal"]:
        visible = visible & (ahead <= 0)
    if before >= 0:
        visible = visible & (ahead >= -before)
    if behind >= 0:
        visible = visible & (ahead <= behind)
    return visible


def _by_policy(
    q: Array, k: Array, v: Array, bias: Array, options: Mapping[str, float], contract: Contract
) -> Pair:
    """Return attention and its bounds, as the contract has what the standard leaves open."""
    pair = _computed(q, k, v, bias, options, contract)
    finite = np.asarray(np.isfinite(k).all(-1) & np.isfinite(v).all(-1))
    if contract.nan_under_mask == "isolates" and not finite.all():
        poison_BH1S = repeat_heads(~finite, q.shape[1])[:, :, None]
        sees_BHT1 = np.any(poison_BH1S & ~np.isneginf(bias), axis=-1, keepdims=True)
        isolated = _computed(q, _finite(k), _finite(v), bias, options, contract)
        pair = _where(np.asarray(sees_BHT1), pair, isolated)
    if contract.query_without_keys == "zero":
        return pair
    empty = np.all(np.isneginf(bias), axis=-1, keepdims=True)
    return _where(np.asarray(empty), _without_keys(pair, v, contract), pair)


def _finite(x: Array) -> Array:
    return np.nan_to_num(x, nan=0, posinf=0, neginf=0)


def _computed(
    q: Array, k: Array, v: Array, bias: Array, options: Mapping[str, float], contract: Contract
) -> Pair:
    """Return attention and its bounds by the formula."""
    value = attention(q, k, v, bias, scale=options["scale"], softcap=options["softcap"])
    bound = attention_bound(
        q, k, v, value, contract, scale=options["scale"], softcap=options["softcap"]
    )
    return value, bound


def _without_keys(pair: Pair, v_BGSK: Array, contract: Contract) -> Pair:
    """Return what queries answer that see no key: NaN, or the mean of all values.

    The mean errs by the weight 1 / S, which is one quotient and its rounding, and by the sum.
    """
    value, bound = pair
    if contract.query_without_keys == "nan":
        nan, exact = np.full(1, np.nan), np.zeros(1)
        return replace(value, weights=nan, output=nan), replace(bound, weights=exact, output=exact)
    u, keys = units(contract), v_BGSK.shape[2]
    v_BHSK = repeat_heads(v_BGSK, value.output.shape[1])
    weights = np.full(value.weights.shape, 1 / keys)
    output = weights @ v_BHSK
    error = (u.sum(keys) + u.a + u.p) * (weights @ np.abs(v_BHSK)) + keys * u.tiny_a
    return replace(value, weights=weights, output=output), replace(
        bound,
        weights=rounded(u.a * weights, weights, u),
        output=rounded(error, output, u),
    )


def _where(chosen_BHT1: Array, one: Pair, other: Pair) -> Pair:
    """Return some queries of one pair, and the others of another."""
    names = ("scores", "capped", "biased", "weights", "output")
    value, bound = (
        Attention(*(np.where(chosen_BHT1, getattr(a, name), getattr(b, name)) for name in names))
        for a, b in zip(one, other, strict=True)
    )
    return value, bound


OPERATORS = {
    "Attention": Operator(
        23,
        ("Q", "K", "V"),
        ("Y", "present_key", "present_value", "qk_matmul_output"),
        _attention,
        optional=("attn_mask", "past_key", "past_value", "nonpad_kv_seqlen"),
        attributes={
            "is_causal": 0,
            "kv_num_heads": None,
            "left_window_size": -1,
            "q_num_heads": None,
            "qk_matmul_output_mode": 0,
            "right_window_size": -1,
            "scale": None,
            "softcap": 0.0,
            "softmax_precision": None,
        },
        below=26,
        later={"nonpad_kv_seqlen": 24, "left_window_size": 25, "right_window_size": 25},
    ),
}
