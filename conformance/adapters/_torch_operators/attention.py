"""Attention: by scaled_dot_product_attention, or composed of plain functions as users compose it.

The composed form stands for what scaled_dot_product_attention cannot say (a softcap, sinks, the
scores as an output); as candidate option ``attention=eager`` it stands for all. Its softmax has no
rule for a query without keys and answers NaN there, which that option claims.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from conformance.adapters._alibi import slopes
from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Compute, Tensors

    Rows = dict[str, tuple[Compute, dict[str, Any]]]


def _attention(inputs: Tensors, attributes: Attributes, *, eager: bool) -> dict[str, Any]:
    q_BHTK, k_BGSK, v_BGSK = (_heads(name, inputs, attributes) for name in "QKV")
    if "past_key" in inputs:
        k_BGSK = _torch().cat((inputs["past_key"], k_BGSK), dim=2)
        v_BGSK = _torch().cat((inputs["past_value"], v_BGSK), dim=2)
    tensors = q_BHTK, k_BGSK, v_BGSK
    shown: dict[str, Any] = {}
    # A call that wants the scores says which; without a mode none are asked for.
    if eager or attributes["softcap"] or attributes["qk_matmul_output_mode"] is not None:
        mask = _with_positions(_mask(inputs, k_BGSK.shape[2]), inputs, attributes, tensors)
        *stages, y_BHTK = _composed(*tensors, mask, attributes, safe=not eager)
        shown = {"qk_matmul_output": stages[attributes["qk_matmul_output_mode"] or 0]}
    else:
        y_BHTK = _sdpa(inputs, attributes, tensors)
    y = y_BHTK.transpose(1, 2).flatten(2) if inputs["Q"].ndim == 3 else y_BHTK
    return {"Y": y, "present_key": k_BGSK, "present_value": v_BGSK, **shown}


def _sdpa(inputs: Tensors, attributes: Attributes, tensors: tuple[Any, Any, Any]) -> Any:
    q_BHTK, k_BGSK, v_BGSK = tensors
    mask = _mask(inputs, k_BGSK.shape[2])
    # torch's own flag is for no past and no mask, so callers write the triangle themselves.
    windows = attributes["left_window_size"], attributes["right_window_size"]
    plain = (
        mask is None and windows == (-1, -1) and not {"past_key", "nonpad_kv_seqlen"} & {*inputs}
    )
    causal = plain and bool(attributes["is_causal"])
    return functional().scaled_dot_product_attention(
        q_BHTK,
        k_BGSK,
        v_BGSK,
        attn_mask=None if plain else _with_positions(mask, inputs, attributes, tensors),
        is_causal=causal,
        scale=attributes["scale"],
        enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1],
    )


def _composed(
    q_BHTK: Any,
    k_BGSK: Any,
    v_BGSK: Any,
    mask: Any,
    attributes: Attributes,
    *,
    sinks_H: Any = None,
    safe: bool = True,
) -> tuple[Any, ...]:
    """Return scores, capped and biased scores, weights, each (B, H, T, S), and the output."""
    k_BHSK, v_BHSK = (
        x.repeat_interleave(q_BHTK.shape[1] // x.shape[1], dim=1) for x in (k_BGSK, v_BGSK)
    )
    scale, cap = attributes["scale"], attributes.get("softcap")
    scale = q_BHTK.shape[-1] ** -0.5 if scale is None else scale
    scores = q_BHTK @ k_BHSK.transpose(2, 3) * scale
    capped = cap * (scores / cap).tanh() if cap else scores
    biased = capped if mask is None else capped + _additive(mask, capped)
    logits = biased
    if sinks_H is not None:
        sinks_BHT1 = sinks_H[:, None, None].expand(*biased.shape[:-1], 1)
        logits = _torch().cat((biased, sinks_BHT1), dim=-1)
    weights = logits.softmax(-1)[..., : biased.shape[-1]]
    if safe and mask is not None:
        unseen = _additive(mask, biased).isneginf().all(-1, keepdim=True)
        weights = weights.masked_fill(unseen, 0)
    return scores, capped, biased, weights, weights @ v_BHSK


def _heads(name: str, inputs: Tensors, attributes: Attributes) -> Any:
    x = inputs[name]
    if x.ndim == 4:
        return x
    heads = attributes["q_num_heads" if name == "Q" else "kv_num_heads"]
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _mask(inputs: Tensors, keys: int) -> Any:
    """Return the mask for all keys; the standard hides those that a shorter one does not name."""
    mask = inputs.get("attn_mask")
    if mask is None:
        return None
    mask = mask if mask.ndim > 1 else mask[None]
    hidden = False if mask.dtype == _torch().bool else -math.inf
    return functional().pad(mask, (0, keys - mask.shape[-1]), value=hidden)


def _with_positions(
    mask: Any, inputs: Tensors, attributes: Attributes, tensors: tuple[Any, ...]
) -> Any:
    """Return the mask together with what a query may see by its position, None for all."""
    visible = _visible(inputs, attributes, tensors[0].shape[2], tensors[1])
    if mask is None or visible is None:
        return visible if mask is None else mask
    return mask & visible if mask.dtype == _torch().bool else mask + _additive(visible, mask)


def _visible(inputs: Tensors, attributes: Attributes, queries: int, k_BGSK: Any) -> Any:
    """Return which keys is_causal, windows and lengths leave, (T, S) or (B, 1, T, S)."""
    arange = partial(_torch().arange, device=k_BGSK.device)
    offset = inputs["past_key"].shape[2] if "past_key" in inputs else 0
    key_S, limits = arange(k_BGSK.shape[2]), []
    if "nonpad_kv_seqlen" in inputs:
        length_B111 = inputs["nonpad_kv_seqlen"].view(-1, 1, 1, 1)
        offset = length_B111 - queries
        limits.append(key_S < length_B111)
    ahead = key_S - (arange(queries)[:, None] + offset)
    if attributes["is_causal"]:
        limits.append(ahead <= 0)
    if attributes["left_window_size"] >= 0:
        limits.append(ahead >= -attributes["left_window_size"])
    if attributes["right_window_size"] >= 0:
        limits.append(ahead <= attributes["right_window_size"])
    return _all(limits)


def _all(limits: list[Any]) -> Any:
    total = limits[0] if limits else None
    for limit in limits[1:]:
        total = total & limit
    return total


def _additive(mask: Any, like: Any) -> Any:
    """Return what a mask adds to the scores."""
    if mask.dtype != _torch().bool:
        return mask
    return like.new_zeros(mask.shape).masked_fill(~mask, -math.inf)


def _with_sinks(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    q_BHTK, k_BGSK, v_BGSK = (inputs[name] for name in "QKV")
    sinks_H, mask = inputs["sinks"], inputs["attn_mask"]
    return {"Y": _composed(q_BHTK, k_BGSK, v_BGSK, mask, attributes, sinks_H=sinks_H)[-1]}


def _with_alibi(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    q_BHTK, k_BHSK = inputs["Q"], inputs["K"]
    heads, queries, keys = q_BHTK.shape[1], q_BHTK.shape[2], k_BHSK.shape[2]
    arange = partial(_torch().arange, device=q_BHTK.device)
    ahead = arange(keys) - (arange(queries)[:, None] + keys - queries)
    slopes_H11 = q_BHTK.new_tensor(slopes(heads)).view(-1, 1, 1)
    bias_HTS = (slopes_H11 * ahead).masked_fill(ahead > 0, -math.inf)
    y = functional().scaled_dot_product_attention(
        q_BHTK,
        k_BHSK,
        inputs["V"],
        attn_mask=bias_HTS,
        scale=attributes["scale"],
        enable_gqa=heads != k_BHSK.shape[1],
    )
    return {"Y": y}


def _torch() -> Any:
    import torch  # noqa: PLC0415

    return torch


_DEFAULTS: dict[str, Any] = {
    "is_causal": 0,
    "kv_num_heads": 0,
    "left_window_size": -1,
    "q_num_heads": 0,
    "qk_matmul_output_mode": None,
    "right_window_size": -1,
    "scale": None,
    "softcap": 0.0,
}
OPERATORS: Rows = {
    "Attention": (partial(_attention, eager=False), _DEFAULTS),
    "AttentionWithAlibi": (_with_alibi, {"q_num_heads": 0, "scale": None}),
    "AttentionWithSinks": (_with_sinks, {"scale": None}),
}
EAGER: Rows = {"Attention": (partial(_attention, eager=True), _DEFAULTS)}
"""What takes the place of rows above where attention is to be composed."""
