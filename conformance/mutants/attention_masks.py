"""Faults of the operator Attention: masks, windows, queries that see nothing.

B batch, H query heads, G key/value heads, T queries, S keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant
from conformance.mutants._calls import (
    POSITIONS,
    ahead,
    changed,
    ids,
    moved,
    past_length,
    seen,
    under,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

ATTENTION = "operator Attention"


@mutant(ATTENTION, kills=("ATTN-006", "ATTN-007", "ATTN-012"), bug="unslothai/unsloth-zoo#963")
def mask_replaces_causality(honest: Honest, call: OperatorCall) -> Any:
    """Where a mask is given, is_causal is not looked at."""
    if "attn_mask" not in call.inputs:
        return honest(call)
    return honest(changed(call, {"is_causal": None}))


def _blind(call: OperatorCall) -> Any:
    """Return which queries see no key, broadcastable to (B, H, T, 1)."""
    visible = seen(call, ahead(call))
    mask = call.inputs.get("attn_mask")
    if mask is not None:
        kept = mask if mask.dtype == np.bool_ else np.asarray(~np.isneginf(mask))
        missing = visible.shape[-1] - kept.shape[-1]
        visible = visible & np.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, missing)])
    return ~np.any(visible, axis=-1, keepdims=True)


def _blinded(honest: Honest, call: OperatorCall, answer: Any) -> Any:
    """Answer something else for queries that see no key."""
    honestly = honest(call)
    if call.inputs["Q"].ndim == 3:
        return honestly
    kind = honestly["Y"].dtype
    return {**honestly, "Y": np.where(_blind(call), answer, honestly["Y"]).astype(kind)}


@mutant(ATTENTION, kills=("ATTN-010", "ATTN-012", "ATTN-015"), bug="pytorch/pytorch#103749")
def blind_queries_are_nan(honest: Honest, call: OperatorCall) -> Any:
    """A query that sees no key answers NaN: the softmax of minus infinities is 0 / 0."""
    return _blinded(honest, call, np.nan)


@mutant(ATTENTION, kills=("ATTN-010", "ATTN-012", "ATTN-015"), bug="generic")
def blind_queries_average(honest: Honest, call: OperatorCall) -> Any:
    """A query that sees no key answers the mean of all values, as with a finite mask."""
    values = call.inputs["V"]
    if "past_value" in call.inputs or values.ndim == 3:
        return honest(call)
    values = np.repeat(values, call.inputs["Q"].shape[1] // values.shape[1], axis=1)
    return _blinded(honest, call, values.astype(np.float64).mean(axis=2, keepdims=True))


@mutant(ATTENTION, kills=("ATTN-012", "ATTN-015"), bug="ml-explore/mlx#2608")
def blind_queries_are_nan_by_additive_masks(honest: Honest, call: OperatorCall) -> Any:
    """A query that sees no key answers 0 under a boolean mask, and NaN under an additive one."""
    mask = call.inputs.get("attn_mask")
    return _blinded(honest, call, 0.0 if mask is None or mask.dtype == np.bool_ else np.nan)


@mutant(ATTENTION, kills=("ATTN-012",), bug="huggingface/transformers#47678")
def blind_queries_are_nan_at_one_more_than_32(honest: Honest, call: OperatorCall) -> Any:
    """A query that sees no key answers NaN where the length is one more than a multiple of 32."""
    keys = call.inputs["K"].shape[-2] + past_length(call)
    return _blinded(honest, call, np.nan if keys % 32 == 1 else 0.0)


def _clean(x: Any) -> Any:
    return np.where(np.isfinite(x), x, np.zeros_like(x))


@mutant(ATTENTION, kills=("ATTN-013",), bug="generic")
def what_is_no_number_skipped(honest: Honest, call: OperatorCall) -> Any:
    """NaN and infinity in keys and values are read as 0, though that is not claimed."""
    return honest(changed(call, K=_clean(call.inputs["K"]), V=_clean(call.inputs["V"])))


@mutant(ATTENTION, kills=("ATTN-013",), bug="generic")
def what_is_no_number_skipped_in_keys(honest: Honest, call: OperatorCall) -> Any:
    """A hidden score is replaced and not added to, so that NaN passes in values alone."""
    return honest(changed(call, K=_clean(call.inputs["K"])))


@mutant(ATTENTION, kills=("ATTN-013",), bug="generic")
def infinite_values_skipped(honest: Honest, call: OperatorCall) -> Any:
    """An infinite value of weight 0 counts nothing, and a NaN does."""
    values = call.inputs["V"]
    return honest(changed(call, V=np.where(np.isinf(values), np.zeros_like(values), values)))


def _remasked(honest: Honest, call: OperatorCall, change: Callable[[Any], Any]) -> Any:
    mask = call.inputs.get("attn_mask")
    return honest(call if mask is None else changed(call, attn_mask=change(mask)))


@mutant(ATTENTION, kills=ids("ATTN", 12, 14, 15, 17), bug="generic")
def mask_of_the_first_row_of_a_batch(honest: Honest, call: OperatorCall) -> Any:
    """All rows of a batch get the mask of the first."""
    return _remasked(honest, call, lambda mask: mask[:1] if mask.ndim == 4 else mask)


@mutant(ATTENTION, kills=("ATTN-014",), bug="generic")
def mask_of_the_first_head(honest: Honest, call: OperatorCall) -> Any:
    """All heads get the mask of the first."""
    return _remasked(honest, call, lambda mask: mask[..., :1, :, :] if mask.ndim > 2 else mask)


@mutant(ATTENTION, kills=("ATTN-014",), bug="generic")
def mask_of_heads_read_as_of_a_batch(honest: Honest, call: OperatorCall) -> Any:
    """A mask of three dimensions is one for each row of the batch, where their numbers agree."""
    batch = len(call.inputs["Q"])
    return _remasked(
        honest,
        call,
        lambda mask: mask[:, None] if mask.ndim == 3 and len(mask) == batch else mask,
    )


@mutant(ATTENTION, kills=("ATTN-014",), bug="generic")
def mask_of_the_key_value_head(honest: Honest, call: OperatorCall) -> Any:
    """Query heads that share a key/value head get the mask of the first of them."""
    if call.inputs["Q"].ndim == 3:
        return honest(call)
    heads, shared = call.inputs["Q"].shape[1], call.inputs["K"].shape[1]
    first = np.arange(heads) // (heads // shared) * (heads // shared)
    return _remasked(
        honest,
        call,
        lambda mask: mask[..., first, :, :] if mask.ndim > 2 and mask.shape[-3] > 1 else mask,
    )


@mutant(ATTENTION, kills=("ATTN-015",), bug="generic")
def short_masks_continued_with_true(honest: Honest, call: OperatorCall) -> Any:
    """Keys that a mask is too short for are seen."""
    keys = call.inputs["K"].shape[-2] + past_length(call)

    def longer(mask: Any) -> Any:
        missing = keys - mask.shape[-1]
        value = True if mask.dtype == np.bool_ else 0.0
        widths = [(0, 0)] * (mask.ndim - 1) + [(0, missing)]
        return np.pad(mask, widths, constant_values=value)

    return _remasked(honest, call, longer)


@mutant(ATTENTION, kills=("ATTN-015",), bug="generic")
def single_rows_mask_the_first_query(honest: Honest, call: OperatorCall) -> Any:
    """A mask of one row is the first query's, and the other queries see all keys."""
    queries = call.inputs["Q"].shape[-2]

    def first(mask: Any) -> Any:
        if mask.shape[-2] > 1 or queries == 1:
            return mask
        full = np.repeat(mask, queries, axis=-2)
        full[..., 1:, :] = True if mask.dtype == np.bool_ else 0.0
        return full

    return _remasked(honest, call, first)


@mutant(ATTENTION, kills=("ATTN-018", "ATTN-019"), bug="microsoft/onnxruntime, version 1.32")
def hidden_scores_shown_finite(honest: Honest, call: OperatorCall) -> Any:
    """A hidden key's score is shown as the smallest finite number."""
    answer = honest(call)
    shown = answer.get("qk_matmul_output")
    if shown is not None:
        answer["qk_matmul_output"] = np.maximum(shown, ml_dtypes.finfo(shown.dtype).min)
    return answer


def _left(call: OperatorCall) -> int:
    return int(call.attributes.get("left_window_size", -1))


def _moved_edge(honest: Honest, call: OperatorCall, by: int) -> Any:
    """Compute with another window on the left, if there is one that can be had."""
    left = _left(call)
    return honest(changed(call, {"left_window_size": left + by}) if left >= max(0, -by) else call)


@mutant(ATTENTION, kills=("ATTN-010",), bug="Dao-AILab/flash-attention#1133")
def window_one_key_wider(honest: Honest, call: OperatorCall) -> Any:
    """A window holds one key more on the left."""
    return _moved_edge(honest, call, 1)


@mutant(ATTENTION, kills=("ATTN-010",), bug="vllm-project/vllm#3385")
def window_one_key_narrower(honest: Honest, call: OperatorCall) -> Any:
    """A window holds one key less on the left, though never less than the query's own."""
    return _moved_edge(honest, call, -1)


@mutant(ATTENTION, kills=("ATTN-010",), bug="unslothai/unsloth#8253")
def window_of_the_own_key_sees_nothing(honest: Honest, call: OperatorCall) -> Any:
    """A window of 0 keys on the left hides the query's own key too."""
    if _left(call) != 0:
        return honest(call)
    visible = seen(call, ahead(call))
    return under(honest, call, visible & (ahead(call) > 0))


@mutant(ATTENTION, kills=("ATTN-010",), bug="hiyouga/LLaMA-Factory#7063")
def windows_never_passed_on(honest: Honest, call: OperatorCall) -> Any:
    """The sizes of the window do not reach the kernel."""
    return honest(changed(call, dict.fromkeys(POSITIONS[1:])))


@mutant(ATTENTION, kills=("ATTN-010",), bug="huggingface/transformers#40700")
def window_halved_for_both_sides(honest: Honest, call: OperatorCall) -> Any:
    """Where both sides are bounded, each gets half of the sum."""
    left, right = _left(call), int(call.attributes.get("right_window_size", -1))
    if min(left, right) < 0:
        return honest(call)
    half = (left + right) // 2
    return honest(changed(call, {"left_window_size": half, "right_window_size": half}))


@mutant(ATTENTION, kills=("ATTN-010",), bug="generic")
def window_counts_from_the_new_keys(honest: Honest, call: OperatorCall) -> Any:
    """A window's positions do not count the past."""
    return moved(honest, call, 0) if _left(call) >= 0 else honest(call)


@mutant(ATTENTION, kills=("ATTN-010",), bug="generic")
def window_replaces_causality(honest: Honest, call: OperatorCall) -> Any:
    """With a window on the left, is_causal is not looked at."""
    return honest(changed(call, {"is_causal": None})) if _left(call) >= 0 else honest(call)


@mutant(
    ATTENTION,
    bug="generic",
    equivalent="is_causal and windows hide the keys that the mask hides, and no others.",
)
def positions_written_as_a_mask(honest: Honest, call: OperatorCall) -> Any:
    """is_causal and windows are made into a mask before attention."""
    return under(honest, call, seen(call, ahead(call)))


@mutant(
    ATTENTION,
    bug="generic",
    equivalent="Each query head gets the key/value head that it shares with its neighbours.",
)
def key_value_heads_repeated_first(honest: Honest, call: OperatorCall) -> Any:
    """Key/value heads are repeated for the query heads, and attention has one for each."""
    names = [name for name in ("K", "V", "past_key", "past_value") if name in call.inputs]
    if call.inputs["Q"].ndim == 3 or len(call.outputs) > 1:
        return honest(call)
    times = call.inputs["Q"].shape[1] // call.inputs["K"].shape[1]
    repeated: dict[str, Any] = {name: np.repeat(call.inputs[name], times, axis=1) for name in names}
    return honest(changed(call, **repeated))
