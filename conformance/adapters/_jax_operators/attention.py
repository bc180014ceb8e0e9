"""Attention: by jax.nn.dot_product_attention, or composed of plain functions as users compose it.

Masks go in as biases of minus infinity, which is how the standard adds them and what keeps NaN and
queries without keys to one rule each. JAX's own ``mask`` writes a finite number over the scores and
multiplies the values by zeros: NaN in a hidden key then does nothing, and in its value reaches the
output. The composed form stands for what the function cannot say: a softcap, sinks, the scores as
an output, values of another width than keys.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from conformance.adapters._alibi import slopes
from conformance.adapters._jax import nn, numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes

    Heads = tuple[Any, Any, Any]
    """Queries (B, H, T, K), keys (B, G, S, K) and values (B, G, S, K)."""


def _attention(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    q_BHTK, k_BGSK, v_BGSK = (_heads(name, inputs, attributes) for name in "QKV")
    if "past_key" in inputs:
        k_BGSK = numpy().concatenate((inputs["past_key"], k_BGSK), axis=2)
        v_BGSK = numpy().concatenate((inputs["past_value"], v_BGSK), axis=2)
    heads, mode = (q_BHTK, k_BGSK, v_BGSK), attributes["qk_matmul_output_mode"]
    shown: dict[str, Any] = {}
    # A call that wants the scores says which; without a mode none are asked for.
    if mode is not None or attributes["softcap"] or q_BHTK.shape[-1] != v_BGSK.shape[-1]:
        *stages, y_BHTK = _composed(heads, _bias(inputs, attributes, heads), attributes)
        shown = {"qk_matmul_output": stages[mode or 0].astype(q_BHTK.dtype)}
    else:
        y_BHTK = _fused(inputs, attributes, heads)
    y = y_BHTK.swapaxes(1, 2) if inputs["Q"].ndim == 3 else y_BHTK
    y = y.reshape(*y.shape[:2], -1) if inputs["Q"].ndim == 3 else y
    return {"Y": y, "present_key": k_BGSK, "present_value": v_BGSK, **shown}


def _heads(name: str, inputs: Arrays, attributes: Attributes) -> Any:
    x = inputs[name]
    if x.ndim == 4:
        return x
    heads = attributes["q_num_heads" if name == "Q" else "kv_num_heads"]
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


_POSITIONED = {"attn_mask", "past_key", "nonpad_kv_seqlen"}


def _fused(inputs: Arrays, attributes: Attributes, heads: Heads) -> Any:
    windows = attributes["left_window_size"], attributes["right_window_size"]
    # JAX's own flag draws the triangle from the first key on.
    plain = not _POSITIONED & {*inputs} and windows == (-1, -1)
    bias = None if plain else _bias(inputs, attributes, heads)
    causal = plain and bool(attributes["is_causal"])
    return _dot_product(heads, bias, attributes["scale"], causal=causal)


def _dot_product(heads: Heads, bias: Any, scale: float | None, *, causal: bool = False) -> Any:
    queries, keys, values = (x.swapaxes(1, 2) for x in heads)
    bias = None if bias is None else bias.reshape((1,) * (4 - bias.ndim) + bias.shape)
    y_BTHK = nn().dot_product_attention(queries, keys, values, bias, scale=scale, is_causal=causal)
    return y_BTHK.swapaxes(1, 2)


def _composed(
    heads: Heads, bias: Any, attributes: Attributes, sinks_H: Any = None
) -> tuple[Any, ...]:
    """Return scores, capped and biased scores, weights, each (B, H, T, S), and the output.

    Scores and softmax are in float32 and weights in the type of the keys, as JAX's own has them.
    """
    jnp = numpy()
    q_BHTK, k_BGSK, v_BGSK = heads
    groups = q_BHTK.shape[1] // k_BGSK.shape[1]
    k_BHSK, v_BHSK = (jnp.repeat(x, groups, axis=1) for x in (k_BGSK, v_BGSK))
    scale, cap = attributes["scale"], attributes.get("softcap")
    scale = q_BHTK.shape[-1] ** -0.5 if scale is None else scale
    products = jnp.einsum("BHTK,BHSK->BHTS", q_BHTK, k_BHSK, preferred_element_type=jnp.float32)
    scores = products * scale
    capped = cap * jnp.tanh(scores / cap) if cap else scores
    biased = capped if bias is None else capped + bias
    logits = biased
    if sinks_H is not None:
        sinks = sinks_H.astype(jnp.float32)[:, None, None]
        sinks_BHT1 = jnp.broadcast_to(sinks, (*biased.shape[:-1], 1))
        logits = jnp.concatenate((biased, sinks_BHT1), axis=-1)
    weights = nn().softmax(logits)[..., : biased.shape[-1]].astype(k_BHSK.dtype)
    return scores, capped, biased, weights, weights @ v_BHSK


def _bias(inputs: Arrays, attributes: Attributes, heads: Heads) -> Any:
    """Return what masks and positions add to the scores, None for nothing; broadcasts to BHTS."""
    bias = _mask(inputs, heads)
    for visible in _visible(inputs, attributes, heads):
        hidden = numpy().where(visible, 0.0, -math.inf)
        bias = hidden if bias is None else bias + hidden
    return bias


def _mask(inputs: Arrays, heads: Heads) -> Any:
    """Return the bias of attn_mask; the standard hides the keys that a shorter one leaves out."""
    jnp, mask = numpy(), inputs.get("attn_mask")
    if mask is None:
        return None
    boolean = mask.dtype == jnp.bool_
    bias = jnp.where(mask, 0.0, -math.inf) if boolean else mask.astype(jnp.float32)
    bias = bias if bias.ndim > 1 else bias[None]
    missing = [(0, 0)] * (bias.ndim - 1) + [(0, heads[1].shape[2] - bias.shape[-1])]
    return jnp.pad(bias, missing, constant_values=-math.inf)


def _visible(inputs: Arrays, attributes: Attributes, heads: Heads) -> list[Any]:
    """Return which keys is_causal, windows and lengths each leave, (T, S) or (B, 1, T, S)."""
    jnp, limits = numpy(), []
    queries, keys = heads[0].shape[2], heads[1].shape[2]
    offset = inputs["past_key"].shape[2] if "past_key" in inputs else 0
    key_S = jnp.arange(keys, dtype=jnp.int32)
    if "nonpad_kv_seqlen" in inputs:
        length_B111 = inputs["nonpad_kv_seqlen"].reshape(-1, 1, 1, 1)
        offset = length_B111 - queries
        limits.append(key_S < length_B111)
    ahead = key_S - (jnp.arange(queries, dtype=jnp.int32)[:, None] + offset)
    if attributes["is_causal"]:
        limits.append(ahead <= 0)
    if attributes["left_window_size"] >= 0:
        limits.append(ahead >= -attributes["left_window_size"])
    if attributes["right_window_size"] >= 0:
        limits.append(ahead <= attributes["right_window_size"])
    return limits


def _with_sinks(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    heads = inputs["Q"], inputs["K"], inputs["V"]
    return {"Y": _composed(heads, _mask(inputs, heads), attributes, inputs["sinks"])[-1]}


def _with_alibi(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    jnp, heads = numpy(), (inputs["Q"], inputs["K"], inputs["V"])
    count, queries, keys = heads[0].shape[1], heads[0].shape[2], heads[1].shape[2]
    arange_T, arange_S = (jnp.arange(n, dtype=jnp.int32) for n in (queries, keys))
    ahead_TS = arange_S - (arange_T[:, None] + keys - queries)
    slopes_H11 = jnp.asarray(slopes(count), jnp.float32)[:, None, None]
    bias_HTS = jnp.where(ahead_TS > 0, -math.inf, slopes_H11 * ahead_TS)
    if heads[0].shape[-1] != heads[2].shape[-1]:
        return {"Y": _composed(heads, bias_HTS, attributes)[-1]}
    return {"Y": _dot_product(heads, bias_HTS, attributes["scale"])}


OPERATORS: dict[str, Any] = {
    "Attention": (
        _attention,
        {
            "is_causal": 0,
            "kv_num_heads": 0,
            "left_window_size": -1,
            "q_num_heads": 0,
            "qk_matmul_output_mode": None,
            "right_window_size": -1,
            "scale": None,
            "softcap": 0.0,
        },
    ),
    "AttentionWithAlibi": (_with_alibi, {"q_num_heads": 0, "scale": None}),
    "AttentionWithSinks": (_with_sinks, {"scale": None}),
}
