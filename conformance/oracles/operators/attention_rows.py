"""Attention by the ONNX standard's calls: shapes, cache, masks.

An external cache (``nonpad_kv_seqlen`` of version 24) and the windows of version 25 are unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError
from conformance.oracles.operators.attention import (
    attention,
    attention_bound,
    causal_mask,
    mask_bias,
)
from conformance.oracles.row import Operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.row import Answer
    from conformance.records import Contract

    Array = NDArray[Any]

_MODES = ("scores", "capped", "biased", "weights")
"""What ``qk_matmul_output`` shows, by ``qk_matmul_output_mode``."""


def _attention(
    inputs: Mapping[str, Array], attributes: Mapping[str, Any], contract: Contract
) -> Answer:
    """Return value and bound of each output of Attention.

    Decisions, where the text was ambiguous or wrong in some release:

    * Query head h uses key/value head h // (H / G). The function body of the first release tiled
      the heads (onnx issue 7274); its text, the evaluator and every runtime repeat them.
    * ``is_causal`` aligns at the past: query i sees key j <= i + past length. Without a past that
      is top-left also where T != S, not bottom-right, as text and evaluator have it since 1.23.
    * A query that may attend to no key has the output 0, not NaN (erratum of 1.23).
    * The softcap comes before the mask (the body of the first release had it after).
    * A mask shorter than the keys is continued with -inf, that is, False.
    * ``softmax_precision`` asks for at least that precision; fp64 has it, so it changes nothing.
    """
    q, k, v = (_heads(name, inputs, attributes) for name in ("Q", "K", "V"))
    if ("past_key" in inputs) != ("past_value" in inputs):
        raise SpecError("Attention: past_key and past_value are given together or not at all")
    past = 0
    if "past_key" in inputs:
        past = inputs["past_key"].shape[2]
        k = np.concatenate([inputs["past_key"], k], axis=2)
        v = np.concatenate([inputs["past_value"], v], axis=2)
    bias = _bias(inputs.get("attn_mask"), q.shape[2], k.shape[2])
    if attributes["is_causal"]:
        allowed = causal_mask(q.shape[2], k.shape[2], past)
        bias = bias + mask_bias(allowed, "float64")
    scale = attributes["scale"]
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    softcap = attributes["softcap"]
    value = attention(q, k, v, bias, scale=scale, softcap=softcap)
    bound = attention_bound(q, k, v, value, contract, scale=scale, softcap=softcap)
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


OPERATORS = {
    "Attention": Operator(
        23,
        ("Q", "K", "V"),
        ("Y", "present_key", "present_value", "qk_matmul_output"),
        _attention,
        optional=("attn_mask", "past_key", "past_value"),
        attributes={
            "is_causal": 0,
            "kv_num_heads": None,
            "q_num_heads": None,
            "qk_matmul_output_mode": 0,
            "scale": None,
            "softcap": 0.0,
            "softmax_precision": None,
        },
        below=25,
    ),
}
