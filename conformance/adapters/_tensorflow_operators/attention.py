"""Attention, composed of TensorFlow's functions as users compose it: it has no function for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from conformance.adapters._alibi import slopes
from conformance.adapters._tensorflow import tf

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Compute, Tensors


def _attention(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    q_BHTK, k_BGSK, v_BGSK = (_heads(name, inputs, attributes) for name in "QKV")
    if "past_key" in inputs:
        k_BGSK = tf().concat((inputs["past_key"], k_BGSK), axis=2)
        v_BGSK = tf().concat((inputs["past_value"], v_BGSK), axis=2)
    bias = _bias(inputs, attributes, q_BHTK, k_BGSK)
    *stages, y = _composed(q_BHTK, k_BGSK, v_BGSK, bias, attributes)
    if inputs["Q"].shape.rank == 3:
        y_BTHK, (batch, tokens) = tf().transpose(y, (0, 2, 1, 3)), _sizes(inputs["Q"])[:2]
        y = tf().reshape(y_BTHK, (batch, tokens, -1))
    shown = stages[attributes["qk_matmul_output_mode"]]
    return {"Y": y, "present_key": k_BGSK, "present_value": v_BGSK, "qk_matmul_output": shown}


def _composed(
    q_BHTK: Any,
    k_BGSK: Any,
    v_BGSK: Any,
    bias: Any,
    attributes: Attributes,
    sinks_H: Any = None,
) -> tuple[Any, ...]:
    """Return scores, capped and biased scores, weights, each (B, H, T, S), and the output.

    ``bias`` is added to the scores, (B, H, T, S) but for axes of one.
    """
    shared = tf().shape(q_BHTK)[1] // tf().shape(k_BGSK)[1]
    k_BHSK, v_BHSK = (tf().repeat(x, shared, axis=1) for x in (k_BGSK, v_BGSK))
    scores = tf().linalg.matmul(q_BHTK, k_BHSK, transpose_b=True) * _scale(q_BHTK, attributes)
    cap = attributes.get("softcap")
    capped = cap * tf().math.tanh(scores / cap) if cap else scores
    biased = capped + bias
    logits = biased
    if sinks_H is not None:
        sinks_BHT1 = tf().zeros_like(biased[..., :1]) + sinks_H[:, None, None]
        logits = tf().concat((biased, sinks_BHT1), axis=-1)
    weights = tf().nn.softmax(logits)[..., : tf().shape(biased)[-1]]
    # A softmax of minus infinities alone is 0 / 0; a query without keys has weights of 0.
    blind = tf().reduce_all(bias == -math.inf, axis=-1, keepdims=True)
    weights = tf().where(blind, tf().zeros_like(weights), weights)
    return scores, capped, biased, weights, tf().linalg.matmul(weights, v_BHSK)


def _scale(q_BHTK: Any, attributes: Attributes) -> Any:
    if attributes["scale"] is not None:
        return tf().constant(attributes["scale"], q_BHTK.dtype)
    wide = tf().float64  # in which the root of an integer is exact enough for every type
    return tf().cast(tf().math.rsqrt(tf().cast(_sizes(q_BHTK)[3], wide)), q_BHTK.dtype)


def _sizes(x: Any) -> list[Any]:
    return list(tf().unstack(tf().shape(x), x.shape.rank))


def _heads(name: str, inputs: Tensors, attributes: Attributes) -> Any:
    x = inputs[name]
    if x.shape.rank == 4:
        return x
    batch, tokens, _ = _sizes(x)
    heads = attributes["q_num_heads" if name == "Q" else "kv_num_heads"]
    return tf().transpose(tf().reshape(x, (batch, tokens, heads, -1)), (0, 2, 1, 3))


def _bias(inputs: Tensors, attributes: Attributes, q_BHTK: Any, k_BGSK: Any) -> Any:
    """Return what mask and positions add to the scores, (B, H, T, S) but for axes of one."""
    queries, keys = _sizes(q_BHTK)[2], _sizes(k_BGSK)[2]
    bias = _additive(_visible(inputs, attributes, queries, keys), q_BHTK.dtype)
    mask = inputs.get("attn_mask")
    if mask is None:
        return bias
    added = _additive(mask, q_BHTK.dtype) if mask.dtype == tf().bool else mask
    # The standard hides the keys that a shorter mask does not name.
    unnamed = [[0, 0]] * (added.shape.rank - 1) + [[0, keys - tf().shape(added)[-1]]]
    hidden = tf().constant(-math.inf, added.dtype)
    return bias + tf().pad(added, unnamed, constant_values=hidden)


def _visible(inputs: Tensors, attributes: Attributes, queries: Any, keys: Any) -> Any:
    """Return which keys is_causal, windows and lengths leave, (B, 1, T, S) but for axes of one."""
    offset = tf().shape(inputs["past_key"])[2] if "past_key" in inputs else 0
    key_S, query_T1 = tf().range(keys), tf().range(queries)[:, None]
    visible = tf().ones((1, 1, queries, keys), tf().bool)
    if "nonpad_kv_seqlen" in inputs:
        length_B111 = tf().cast(inputs["nonpad_kv_seqlen"], tf().int32)[:, None, None, None]
        offset, visible = length_B111 - queries, visible & (key_S < length_B111)
    ahead = key_S - (query_T1 + offset)
    if attributes["is_causal"]:
        visible = visible & (ahead <= 0)
    if attributes["left_window_size"] >= 0:
        visible = visible & (ahead >= -attributes["left_window_size"])
    if attributes["right_window_size"] >= 0:
        visible = visible & (ahead <= attributes["right_window_size"])
    return visible


def _additive(visible: Any, dtype: Any) -> Any:
    nothing, hidden = tf().constant(0, dtype), tf().constant(-math.inf, dtype)
    return tf().where(visible, nothing, hidden)


def _with_sinks(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    q_BHTK, k_BGSK, v_BGSK = (inputs[name] for name in "QKV")
    bias = _additive(inputs["attn_mask"], q_BHTK.dtype)
    return {"Y": _composed(q_BHTK, k_BGSK, v_BGSK, bias, attributes, inputs["sinks"])[-1]}


def _with_alibi(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    q_BHTK, k_BGSK, v_BGSK = (inputs[name] for name in "QKV")
    queries, keys = _sizes(q_BHTK)[2], _sizes(k_BGSK)[2]
    ahead_TS = tf().range(keys) - (tf().range(queries)[:, None] + keys - queries)
    slopes_H11 = tf().constant(slopes(attributes["q_num_heads"]), q_BHTK.dtype)[:, None, None]
    bias_HTS = slopes_H11 * tf().cast(ahead_TS, q_BHTK.dtype)
    bias_HTS = bias_HTS + _additive(ahead_TS <= 0, q_BHTK.dtype)
    return {"Y": _composed(q_BHTK, k_BGSK, v_BGSK, bias_HTS, attributes)[-1]}


_DEFAULTS: dict[str, Any] = {
    "is_causal": 0,
    "kv_num_heads": 0,
    "left_window_size": -1,
    "q_num_heads": 0,
    "qk_matmul_output_mode": 0,
    "right_window_size": -1,
    "scale": None,
    "softcap": 0.0,
}
OPERATORS: dict[str, tuple[Compute, dict[str, Any]]] = {
    "Attention": (_attention, _DEFAULTS),
    "AttentionWithAlibi": (_with_alibi, {"q_num_heads": 0, "scale": None}),
    "AttentionWithSinks": (_with_sinks, {"scale": None}),
}
