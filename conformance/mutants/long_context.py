"""Faults that show far from the beginning of a context.

B batch, T tokens of a step, S tokens so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("extend", kills=("LONG-002",), bug="generic")
def cache_holds_4096_tokens(honest: Honest, past: Any, *new: Any) -> Any:
    """Of more than 4096 tokens, the oldest are overwritten by zeros."""
    longer = honest(past, *new)
    for part in longer:
        part[:, :, : max(0, part.shape[2] - 4096)] = 0
    return longer


@mutant("allowed_keys", kills=("LONG-002",), bug="generic")
def window_of_4096_keys(honest: Honest, mask_BS: Any, tokens: int) -> Any:
    """Keys 4096 and more slots behind are hidden, though no window is asked for."""
    slot_S = mask_BS.new_ones(mask_BS.shape[1]).cumsum(0)
    near_TS = slot_S > slot_S[-tokens:].unsqueeze(1) - 4096
    return honest(mask_BS, tokens) & near_TS


@mutant("allowed_keys", kills=("LONG-002",), bug="generic")
def later_chunks_see_all_of_themselves(honest: Honest, mask_BS: Any, tokens: int) -> Any:
    """Behind 2048 tokens, those of a chunk see each other, whatever their order."""
    allowed_B1TS = honest(mask_BS, tokens).clone()
    if mask_BS.shape[1] - tokens >= 2048:
        allowed_B1TS[..., -tokens:] = (mask_BS != 0)[:, None, None, -tokens:]
    return allowed_B1TS


@mutant("Rotary.phases", kills=("LONG-001",), bug="generic")
def positions_in_sixteen_bits(honest: Honest, self: Any, at_BT: Any, dtype: Any) -> Any:
    """Positions are kept in sixteen bits, and those from 32768 on are negative."""
    return honest(self, (at_BT + 32768) % 65536 - 32768, dtype)


@mutant("Rotary.phases", kills=("LONG-001",), bug="generic")
def positions_end_at_the_original_length(honest: Honest, self: Any, at_BT: Any, dtype: Any) -> Any:
    """The table of phases was made for 16384 positions, and later ones get the last of them."""
    return honest(self, at_BT.clamp(max=16383), dtype)


@mutant("Rotary.phases", kills=("LONG-001",), bug="generic")
def scaling_begins_beyond_the_original_length(
    honest: Honest, self: Any, at_BT: Any, dtype: Any
) -> Any:
    """Positions within the first 16384 turn twice as fast, as if the scaling began behind them."""
    return honest(self, at_BT * (1 + (at_BT < 16384)), dtype)


@mutant("extend", kills=("LONG-003",), bug="generic")
def cache_holds_24576_tokens(honest: Honest, past: Any, *new: Any) -> Any:
    """Of more than 24576 tokens, the oldest are overwritten by zeros."""
    longer = honest(past, *new)
    for part in longer:
        part[:, :, : max(0, part.shape[2] - 24576)] = 0
    return longer


@mutant("allowed_keys", kills=("LONG-003",), bug="generic")
def window_of_16384_keys(honest: Honest, mask_BS: Any, tokens: int) -> Any:
    """Keys 16384 and more slots behind are hidden, though no window is asked for."""
    slot_S = mask_BS.new_ones(mask_BS.shape[1]).cumsum(0)
    near_TS = slot_S > slot_S[-tokens:].unsqueeze(1) - 16384
    return honest(mask_BS, tokens) & near_TS


@mutant("allowed_keys", kills=("LONG-003",), bug="generic", below_noise_at=("bf16",))
def chunks_at_the_end_see_all_of_themselves(honest: Honest, mask_BS: Any, tokens: int) -> Any:
    """Behind 24576 tokens, those of a chunk see each other, whatever their order."""
    allowed_B1TS = honest(mask_BS, tokens).clone()
    if mask_BS.shape[1] - tokens >= 24576:
        allowed_B1TS[..., -tokens:] = (mask_BS != 0)[:, None, None, -tokens:]
    return allowed_B1TS


@mutant("attend", kills=("LONG-003",), bug="generic")
def halves_of_long_rows_count_alike(honest: Honest, *inputs: Any) -> Any:
    """Of more than 16384 keys, either half has a softmax of its own, and their mean is taken."""
    q_BHTK, k_BHSK, v_BHSK, allowed_B1TS, *more = inputs
    keys = k_BHSK.shape[2]
    if keys <= 16384:
        return honest(*inputs)
    halves = (slice(0, keys // 2), slice(keys // 2, keys))
    parts = [
        honest(q_BHTK, k_BHSK[:, :, half], v_BHSK[:, :, half], allowed_B1TS[..., half], *more)
        for half in halves
    ]
    return (parts[0] + parts[1]) / 2
