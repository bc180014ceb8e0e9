"""Faults of batches: a row is told from its neighbours wrongly. Logits are (B, T, V)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("logits", kills=("BATCH-001", "LOGITS-001"), bug="generic")
def last_row_repeats_the_first(honest: Honest, *inputs: Any) -> Any:
    """The last row of a batch gets the logits of the first."""
    logits = honest(*inputs)
    logits[-1] = logits[0]
    return logits


@mutant("logits", kills=("BATCH-001", "LOGITS-001", "LOGITS-006"), bug="generic")
def rows_reversed(honest: Honest, *inputs: Any) -> Any:
    """The rows of a batch are answered in reverse order."""
    return honest(*inputs)[::-1].copy()


@mutant("logits", kills=("BATCH-001", "LOGITS-001"), bug="generic", below_noise_at=("bf16", "fp16"))
def rows_leak_into_their_neighbours(honest: Honest, *inputs: Any) -> Any:
    """A row's logits hold a ten-thousandth of the row before it."""
    logits = honest(*inputs)
    return logits + np.roll(logits, 1, axis=0) * logits.dtype.type(1e-4)


@mutant(
    "logits",
    kills=("BATCH-001", "LOGITS-001"),
    bug="generic",
    equivalent_at={"bf16": "Logits are bfloat16 numbers there."},
)
def batches_take_a_narrower_kernel(honest: Honest, *inputs: Any) -> Any:
    """Batches of more than one row are computed in bfloat16."""
    logits = honest(*inputs)
    narrow = logits.astype(ml_dtypes.bfloat16).astype(logits.dtype)
    return narrow if len(logits) > 1 else logits


@mutant("logits", kills=("BATCH-001",), bug="generic")
def batches_end_at_a_tile_of_eight(honest: Honest, *inputs: Any) -> Any:
    """Rows behind the last whole tile of eight get the logits of the row before them."""
    logits = honest(*inputs)
    whole = len(logits) // 8 * 8
    if whole and whole < len(logits):
        logits[whole:] = logits[whole - 1]
    return logits


@mutant("Rotary.phases", kills=("LOGITS-001",), bug="generic")
def rows_take_turns_at_positions(honest: Honest, self: Any, at_BT: Any, dtype: Any) -> Any:
    """Each row of a batch gets the positions of the row before it."""
    return honest(self, at_BT.roll(1, dims=0), dtype)


@mutant("allowed_keys", kills=("BATCH-002",), bug="generic")
def one_key_seen_behind_a_block_of_padding(honest: Honest, mask_BS: Any, tokens: int) -> Any:
    """Where a row's padding ends one token behind a block of 32, that token is seen."""
    hidden_B1 = (mask_BS == 0).sum(-1, keepdim=True)
    leading_BS = mask_BS.cumsum(-1) == 0
    slot_S = mask_BS.new_ones(mask_BS.shape[-1]).cumsum(0)
    last_BS = leading_BS & (slot_S == hidden_B1) & (hidden_B1 % 32 == 1)
    return honest(mask_BS + last_BS.to(mask_BS.dtype), tokens)


@mutant("allowed_keys", kills=("BATCH-002",), bug="generic")
def slot_before_the_33rd_is_lost(honest: Honest, mask_BS: Any, tokens: int) -> Any:
    """In padded rows of 33 slots, or 65 and so on, the last one does not see the one before."""
    allowed_B1TS = honest(mask_BS, tokens).clone()
    padded_B = (mask_BS == 0).any(-1)
    if allowed_B1TS.shape[-1] % 32 == 1 and tokens > 1:
        allowed_B1TS[padded_B, :, -1, -2] = False
    return allowed_B1TS


@mutant("logits", kills=("BATCH-002",), bug="generic")
def pad_token_is_found_by_its_id(honest: Honest, ids_BT: Any, mask_BT: Any, at_BT: Any) -> Any:
    """The token that pads most is taken for the pad token, and hidden wherever it stands."""
    padding = ids_BT[mask_BT == 0]
    if padding.size:
        hidden_BT = ids_BT == np.bincount(padding).argmax()
        mask_BT = np.where(hidden_BT, 0, mask_BT)
    return honest(ids_BT, mask_BT, at_BT)


@mutant("logits", kills=("BATCH-002",), bug="generic")
def positions_of_padding_set_the_scale(
    honest: Honest, ids_BT: Any, mask_BT: Any, at_BT: Any
) -> Any:
    """Positions are stretched where the largest of all, padding's included, is padding's."""
    largest = np.where(mask_BT == 0, at_BT, 0).max()
    stretched = largest > np.where(mask_BT == 1, at_BT, 0).max()
    return honest(ids_BT, mask_BT, at_BT * (1 + stretched))


@mutant("logits", kills=("BATCH-003",), bug="generic")
def slots_end_at_32(honest: Honest, *inputs: Any) -> Any:
    """Rows behind the 32nd get the logits of the row 32 before them."""
    logits = honest(*inputs)
    for row in range(32, len(logits)):
        logits[row] = logits[row - 32]
    return logits


@mutant("logits", kills=("BATCH-003",), bug="generic")
def batches_of_64_lose_their_last_slot(honest: Honest, *inputs: Any) -> Any:
    """The last row of a whole tile of 64 is answered as the one before."""
    logits = honest(*inputs)
    logits[63::64] = logits[62:-1:64]
    return logits


@mutant("allowed_keys", kills=("BATCH-004",), bug="generic")
def much_padding_is_forgotten(honest: Honest, mask_BS: Any, tokens: int) -> Any:
    """Of a row that a neighbour is longer than by 112 tokens or more, padding is seen."""
    much_B1 = (mask_BS == 0).sum(-1, keepdim=True) >= 112
    return honest((much_B1 | (mask_BS != 0)).to(mask_BS.dtype), tokens)


@mutant("logits", kills=("BATCH-004",), bug="generic")
def long_neighbours_cut_short_rows(honest: Honest, ids_BT: Any, mask_BT: Any, at_BT: Any) -> Any:
    """Beside a row of more than 96 tokens, the first token of a shorter one is lost."""
    longest, own_B1 = mask_BT.sum(axis=1).max(), mask_BT.sum(axis=1, keepdims=True)
    first_BT = np.cumsum(mask_BT, axis=1) == 1
    lost_BT = first_BT & (longest > 96) & (own_B1 < longest) & (own_B1 > 1)
    return honest(ids_BT, np.where(lost_BT, 0, mask_BT), at_BT)


@mutant("RMSNorm.forward", kills=("BATCH-005",), bug="generic")
def one_scale_for_a_batch(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Hidden states are kept in steps of one size, a share of the largest number of the batch."""
    import torch  # noqa: PLC0415  # this module is imported where torch is not

    step = x_BTD.abs().amax() * torch.finfo(x_BTD.dtype).eps / 8
    return honest(self, (x_BTD / step).round() * step)


@mutant("attend", kills=("BATCH-005",), bug="generic")
def rows_share_one_softmax(
    honest: Honest, q_BHTK: Any, k_BHSK: Any, v_BHSK: Any, *others: Any
) -> Any:
    """Rows are one long row under a mask, which NaN passes through: 0 times NaN."""
    own = honest(q_BHTK, k_BHSK, v_BHSK, *others)
    return own + 0 * v_BHSK.sum(dim=(0, 2), keepdim=True)


def _drifting(logits: Any, share_B: Any) -> Any:
    """Return logits that are too large by a share of sixteen of their type's roundings."""
    eps = float(ml_dtypes.finfo(logits.dtype).eps)
    drift_B11 = 1 + 16 * eps * np.asarray(share_B)[:, None, None]
    return (logits.astype(np.float64) * drift_B11).astype(logits.dtype)


@mutant("logits", kills=("BATCH-006",), bug="generic")
def error_grows_with_the_batch(honest: Honest, *inputs: Any) -> Any:
    """Logits are too large by a little for each row of the batch."""
    logits = honest(*inputs)
    return _drifting(logits, np.full(len(logits), (len(logits) - 1) / 63))


@mutant("logits", kills=("BATCH-006",), bug="generic")
def error_grows_with_the_slot(honest: Honest, *inputs: Any) -> Any:
    """Logits are too large by a little for each slot before the row's."""
    logits = honest(*inputs)
    return _drifting(logits, np.arange(len(logits)) / 63)


@mutant("logits", kills=("DET-003",), bug="generic")
def large_batches_round_otherwise(honest: Honest, *inputs: Any) -> Any:
    """Of batches of 8 rows and more, every logit is one rounding away."""
    logits = honest(*inputs)
    return np.nextafter(logits, logits.dtype.type(0)) if len(logits) >= 8 else logits
