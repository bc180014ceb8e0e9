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
