"""Faults of the operator Attention: lengths, caches, widths, softcap, layouts, and what it shows.

B batch, H query heads, G key/value heads, T queries, S keys, K head dim.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._calls import ahead, changed, ids, moved, past_length, seen, under

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

ATTENTION = "operator Attention"
TILE = 16


@mutant(
    ATTENTION,
    kills=ids("ATTN", 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 22),
    bug="generic",
)
def scale_of_one_less(honest: Honest, call: OperatorCall) -> Any:
    """The default scale is 1 / sqrt(head dim - 1)."""
    dim = call.inputs["Q"].shape[-1] // max(call.attributes.get("q_num_heads", 1), 1)
    default = 1 / math.sqrt(max(dim - 1, 1))
    return honest(changed(call, {"scale": call.attributes.get("scale", default)}))


@mutant(ATTENTION, kills=("ATTN-011", "ATTN-018"), bug="vllm-project/vllm-metal#665")
def softcap_dropped(honest: Honest, call: OperatorCall) -> Any:
    """The softcap is not looked at."""
    return honest(changed(call, {"softcap": None}))


@mutant(ATTENTION, kills=("ATTN-011", "ATTN-018"), bug="generic")
def softcap_without_its_quotient(honest: Honest, call: OperatorCall) -> Any:
    """Scores are capped as c * tanh(s), without the division by c."""
    cap = call.attributes.get("softcap")
    if not cap:
        return honest(call)
    return _recomputed(honest, call, lambda s_BHTS, bias: cap * np.tanh(s_BHTS) + bias)


@mutant(ATTENTION, kills=("ATTN-011", "ATTN-018"), bug="onnx/onnx#7867")
def softcap_after_the_mask(honest: Honest, call: OperatorCall) -> Any:
    """The mask is added before the softcap, which makes a finite score of minus infinity."""
    cap = call.attributes.get("softcap")
    if not cap:
        return honest(call)
    return _recomputed(honest, call, lambda s_BHTS, bias: cap * np.tanh((s_BHTS + bias) / cap))


def _recomputed(honest: Honest, call: OperatorCall, masked: Callable[[Any, Any], Any]) -> Any:
    """Compute from the honest scores on; ``masked`` gets them and what the mask adds to them."""
    shown = changed(call, {"softcap": None, "qk_matmul_output_mode": 0})
    outputs = ("Y", "present_key", "present_value", "qk_matmul_output")
    answer = honest(dataclasses.replace(shown, outputs=outputs))
    kind = answer["Y"].dtype
    with np.errstate(all="ignore"):
        bias = np.where(seen(call, ahead(call)), 0.0, -np.inf)
        mask = call.inputs.get("attn_mask")
        if mask is not None:
            bias = bias + (np.where(mask, 0.0, -np.inf) if mask.dtype == np.bool_ else mask)
        scores = masked(answer["qk_matmul_output"].astype(np.float64), bias)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights = np.nan_to_num(weights / weights.sum(-1, keepdims=True))
    v_BGSK = answer["present_value"].astype(np.float64)
    values = np.repeat(v_BGSK, scores.shape[1] // v_BGSK.shape[1], axis=1)
    answer["Y"] = (weights @ values).astype(kind)
    return {name: answer[name] for name in call.outputs}


@mutant(ATTENTION, kills=ids("ATTN", 7, 10, 16, 17), bug="microsoft/onnxruntime#29020")
def cached_queries_start_at_the_first_key(honest: Honest, call: OperatorCall) -> Any:
    """With a past, is_causal is aligned top-left: a query that decodes sees the first key alone."""
    return moved(honest, call, 0)


@mutant(ATTENTION, kills=("ATTN-008",), bug="microsoft/onnxruntime#29020")
def queries_end_at_the_last_key(honest: Honest, call: OperatorCall) -> Any:
    """Without a past, is_causal is aligned bottom-right where there are more keys than queries."""
    offset = call.inputs["K"].shape[-2] - call.inputs["Q"].shape[-2] + past_length(call)
    return moved(honest, call, offset)


@mutant(ATTENTION, kills=("ATTN-007", "ATTN-010", "ATTN-016"), bug="generic")
def past_behind_the_new_keys(honest: Honest, call: OperatorCall) -> Any:
    """The new keys and values come first, and the past behind them."""
    if "past_key" not in call.inputs or call.inputs["K"].ndim == 3:
        return honest(call)
    swapped = {
        name: call.inputs[other]
        for name, other in {
            "K": "past_key",
            "V": "past_value",
            "past_key": "K",
            "past_value": "V",
        }.items()
    }
    visible = seen(call, ahead(call))
    return under(honest, changed(call, **swapped), visible)


@mutant(ATTENTION, kills=ids("ATTN", 7, 10, 16, 17), bug="generic")
def present_without_the_past(honest: Honest, call: OperatorCall) -> Any:
    """The new keys and values alone are answered as the present ones."""
    past = past_length(call)
    return {
        name: y[:, :, past:] if name.startswith("present") else y
        for name, y in honest(call).items()
    }


@mutant(ATTENTION, kills=ids("ATTN", 5, 7, 8, 9, 10, 16), bug="pytorch/pytorch#176767")
def output_as_wide_as_the_keys(honest: Honest, call: OperatorCall) -> Any:
    """Values are taken to be as wide as keys: wider ones are cut, narrower ones filled with 0."""
    answer = honest(call)
    if call.inputs["K"].ndim == 3:
        return answer
    width = call.inputs["K"].shape[-1]
    missing = max(width - answer["Y"].shape[-1], 0)
    return {**answer, "Y": np.pad(answer["Y"], [(0, 0)] * 3 + [(0, missing)])[..., :width]}


@mutant(
    ATTENTION, kills=ids("ATTN", 2, 3, 6, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 22), bug="generic"
)
def as_many_keys_as_queries(honest: Honest, call: OperatorCall) -> Any:
    """Keys beyond the number of queries are not read."""
    queries = call.inputs["Q"].shape[-2] + past_length(call)
    visible = seen(call, ahead(call))
    if queries >= visible.shape[1]:
        return honest(call)
    visible[:, queries:] = False
    return under(honest, call, visible)


@mutant(
    ATTENTION,
    kills=ids("ATTN", 2, 3, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 22),
    bug="generic",
)
def keys_behind_the_last_tile_dropped(honest: Honest, call: OperatorCall) -> Any:
    """Keys behind the last whole tile of 16 are not read, where there is a whole one."""
    visible = seen(call, ahead(call))
    whole = visible.shape[1] // TILE * TILE
    if whole in (0, visible.shape[1]):
        return honest(call)
    visible[:, whole:] = False
    return under(honest, call, visible)


@mutant(
    ATTENTION,
    kills=ids("ATTN", 2, 3, 6, 7, 8, 9, 10, 11, 12, 14, 16, 17, 18, 19, 22),
    bug="generic",
)
def first_key_dropped_from_long_rows(honest: Honest, call: OperatorCall) -> Any:
    """The first key is not read where there are more than 32."""
    visible = seen(call, ahead(call))
    if visible.shape[1] <= 2 * TILE:
        return honest(call)
    visible[:, 0] = False
    return under(honest, call, visible)


@mutant(
    ATTENTION,
    kills=ids("ATTN", 5, 6, 7, 8, 10, 11, 12, 16, 17, 19, 22),
    bug="pytorch/pytorch#195910",
)
def causal_operator_by_groups_of_four(honest: Honest, call: OperatorCall) -> Any:
    """With is_causal, a query sees all keys of its group of four."""
    if not call.attributes.get("is_causal"):
        return honest(call)
    keys_ahead = ahead(call)
    rest = 3 - np.arange(len(keys_ahead))[:, None] % 4
    visible = seen(changed(call, {"is_causal": 0}), keys_ahead) & (keys_ahead <= rest)
    return under(honest, call, visible)


@mutant(ATTENTION, kills=ids("ATTN", 6, 7, 10, 11, 12, 16, 19, 22), bug="pytorch/pytorch#174861")
def second_pass_starts_late(honest: Honest, call: OperatorCall) -> Any:
    """With is_causal, the second block of 32 keys is read from its second key on."""
    visible = seen(call, ahead(call))
    if not call.attributes.get("is_causal") or visible.shape[1] <= 2 * TILE:
        return honest(call)
    visible[:, 2 * TILE] = False
    return under(honest, call, visible)


@mutant(ATTENTION, kills=("ATTN-017",), bug="generic")
def flat_inputs_not_transposed(honest: Honest, call: OperatorCall) -> Any:
    """Inputs (B, T, H K) are read as if they were (B, H, T, K) in memory."""
    if call.inputs["Q"].ndim == 4:
        return honest(call)
    heads = {name: _read_as_heads(name, call) for name in ("Q", "K", "V")}
    answer = honest(changed(call, {"q_num_heads": None, "kv_num_heads": None}, **heads))
    batch, tokens = call.inputs["Q"].shape[:2]
    return {**answer, "Y": np.swapaxes(answer["Y"], 1, 2).reshape(batch, tokens, -1)}


def _read_as_heads(name: str, call: OperatorCall) -> Any:
    x = call.inputs[name]
    count = call.attributes["q_num_heads" if name == "Q" else "kv_num_heads"]
    return x.reshape(x.shape[0], count, x.shape[1], -1)


@mutant(ATTENTION, kills=("ATTN-017",), bug="generic")
def flat_output_not_transposed(honest: Honest, call: OperatorCall) -> Any:
    """The output (B, H, T, K) is answered as (B, T, H K) as it lies in memory."""
    answer = honest(call)
    if call.inputs["Q"].ndim == 4:
        return answer
    batch, tokens, width = answer["Y"].shape
    heads_BTHK = answer["Y"].reshape(batch, tokens, call.attributes["q_num_heads"], -1)
    return {**answer, "Y": np.swapaxes(heads_BTHK, 1, 2).reshape(batch, tokens, width)}


def _shown(honest: Honest, call: OperatorCall, mode: int) -> Any:
    if "qk_matmul_output" not in call.outputs:
        return honest(call)
    return honest(changed(call, {"qk_matmul_output_mode": mode}))


@mutant(ATTENTION, kills=("ATTN-018", "ATTN-019"), bug="generic")
def mode_ignored(honest: Honest, call: OperatorCall) -> Any:
    """The scores are shown whatever the mode."""
    return _shown(honest, call, 0)


@mutant(ATTENTION, kills=("ATTN-018", "ATTN-019"), bug="onnx/onnx#7913")
def modes_one_and_two_swapped(honest: Honest, call: OperatorCall) -> Any:
    """The scores after the mask are shown for those after the softcap, and these for those."""
    mode = call.attributes.get("qk_matmul_output_mode", 0)
    return _shown(honest, call, {1: 2, 2: 1}.get(mode, mode))


@mutant(ATTENTION, kills=("ATTN-018",), bug="generic")
def scores_shown_unscaled(honest: Honest, call: OperatorCall) -> Any:
    """The scores are shown before they are scaled."""
    answer = honest(call)
    if "qk_matmul_output" in answer and call.attributes.get("qk_matmul_output_mode", 0) == 0:
        root = math.sqrt(call.inputs["Q"].shape[-1])
        shown = answer["qk_matmul_output"]
        answer["qk_matmul_output"] = (shown * root).astype(shown.dtype)
    return answer


@mutant(ATTENTION, kills=("ATTN-013", "ATTN-022"), bug="pytorch/pytorch, flash attention on CPU")
def nan_queries_answer_zero(honest: Honest, call: OperatorCall) -> Any:
    """A query with a NaN answers 0, since no comparison with its maximum holds."""
    answer = honest(call)
    y = answer["Y"]
    return {**answer, "Y": np.where(np.isnan(y), np.zeros_like(y), y)}


@mutant(ATTENTION, kills=("ATTN-022",), bug="generic")
def nan_queries_spoil_their_block(honest: Honest, call: OperatorCall) -> Any:
    """A NaN in one query makes NaN of all queries in its head."""
    answer = honest(call)
    spoilt = np.isnan(call.inputs["Q"]).any(axis=(-2, -1), keepdims=True)
    return {**answer, "Y": np.where(spoilt, np.asarray(np.nan, answer["Y"].dtype), answer["Y"])}


@mutant(
    ATTENTION,
    bug="pytorch/pytorch#197636",
    survives="A tensor of 2**32 numbers takes 16 GB and minutes; no case is so large.",
)
def index_wraps_at_four_billion(honest: Honest, call: OperatorCall) -> Any:
    """Offsets into the keys are 32 bits wide: from 2**32 numbers on, the first are read again."""
    keys = call.inputs["K"]
    if keys.size <= 2**32:
        return honest(call)
    flat = keys.reshape(-1)
    return honest(changed(call, K=flat[np.arange(flat.size) % 2**32].reshape(keys.shape)))
