"""Attention as decoders have it and the ONNX standard does not: with sinks, with linear biases.

B batch, T queries, S keys, H query heads, G key/value heads, K head dim.
"""

from __future__ import annotations

import math
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
from conformance.oracles.units import ELEMENTARY, units
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]


def alibi_slopes(heads: int) -> Array:
    """Return the slope of each head's linear bias, (H,) (Press et al. 2022, section 3).

    Of a power of two, 2**(-8 (h + 1) / H). Of another number, those of the power of two below it,
    and then every other one of the power of two above, from the first (the authors' code).
    """
    below = 2 ** math.floor(math.log2(heads))
    slopes = 2.0 ** (-8 * np.arange(1, below + 1) / below)
    between = 2.0 ** (-8 * np.arange(1, 2 * below + 1, 2) / (2 * below))
    return np.concatenate([slopes, between])[:heads]


def alibi_bias(heads: int, queries: int, keys: int) -> Array:
    """Return slope * (j - i) for queries that are the last of the keys, (H, T, S)."""
    distance_TS = np.arange(keys) - (np.arange(queries)[:, None] + keys - queries)
    bias: Array = alibi_slopes(heads)[:, None, None] * distance_TS
    return bias


def _scale(inputs: Inputs, attributes: Attributes) -> float:
    scale = attributes["scale"]
    return float(inputs["Q"].shape[-1] ** -0.5 if scale is None else scale)


def _sinks(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    """Return attention in which each head has one more logit, its sink.

    softmax([s_1, ..., s_S, sink]), of which the last weight is dropped: the sink takes weight and
    has no value (gpt-oss, model.py of openai/gpt-oss, function sdpa; Xiao et al. 2024). So the
    weights add up to less than one, and a query that sees no key answers 0.
    """
    q, k, v = (inputs[name] for name in ("Q", "K", "V"))
    bias = mask_bias(inputs["attn_mask"], "float64")
    scale, sinks = _scale(inputs, attributes), inputs["sinks"]
    value = attention(q, k, v, bias, scale=scale, sinks_H=sinks)
    bound = attention_bound(q, k, v, value, contract, scale=scale, sinks_H=sinks)
    return {"Y": (value.output, bound.output)}


def _alibi(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    """Return causal attention of the last T of S tokens, whose scores fall with the distance.

    The bias is slope * (j - i), or slope * j, which moves all scores of a query by the same. It
    errs by a power of 2 ulp, the rounding of the slope and that of the product, and its sum with
    the score by one rounding more where it is slope * j.
    """
    q, k, v = (inputs[name] for name in ("Q", "K", "V"))
    heads, queries, keys = q.shape[1], q.shape[2], k.shape[2]
    if queries > keys or heads != attributes["q_num_heads"]:
        raise SpecError(
            f"AttentionWithAlibi: {queries} queries are the last of {keys} keys, and {heads} heads "
            f"are {attributes['q_num_heads']} by attribute"
        )
    bias = alibi_bias(heads, queries, keys)
    bias = bias + mask_bias(causal_mask(queries, keys, keys - queries), "float64")
    scale, u = _scale(inputs, attributes), units(contract)
    largest = alibi_slopes(heads)[:, None, None] * keys
    error = (ELEMENTARY * u.a + 3 * u.s) * largest
    value = attention(q, k, v, bias, scale=scale)
    bound = attention_bound(q, k, v, value, contract, scale=scale, bias_error=error)
    return {"Y": (value.output, bound.output)}


OPERATORS = {
    "AttentionWithSinks": Operator(
        23,
        ("Q", "K", "V", "sinks", "attn_mask"),
        ("Y",),
        _sinks,
        attributes={"scale": None},
        domain=OWN_DOMAIN,
    ),
    "AttentionWithAlibi": Operator(
        23,
        ("Q", "K", "V"),
        ("Y",),
        _alibi,
        attributes={"q_num_heads": 0, "scale": None},
        domain=OWN_DOMAIN,
    ),
}
