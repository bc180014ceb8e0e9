"""Rotary position embedding: frequencies, phases and the turning of heads.

Shape suffixes are those of ``model``; N is the part of a head that is turned.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and a module has to be an nn.Module.

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from reference_model.config import Linear, Llama3, LongRope, Yarn
from reference_model.norms import at_least_float32
from reference_model.scaling import attention_factor, longrope_frequencies, yarn_frequencies

if TYPE_CHECKING:
    from reference_model.config import Rope


def inverse_frequencies(rope: Rope, head_dim: int) -> tuple[float, ...]:
    """Return the rotation per position of each of the I pairs, in radians, as float64 numbers.

    theta ** (-2 i / K) (Su et al. 2021, section 3.2.2), then the scaling, if there is one.
    """
    # LOGITS-001: scaling changes the frequencies, once and for all; LongRoPE's alone, of which
    # these are the short ones, looks at the length.
    scaling, dim = rope.scaling, rope.dims(head_dim)
    if isinstance(scaling, LongRope):
        return longrope_frequencies(rope, scaling.short, dim)
    if isinstance(scaling, Yarn):
        return yarn_frequencies(rope, scaling, dim)
    plain = (rope.theta ** (-2 * i / dim) for i in range(dim // 2))
    return tuple(scaled_frequency(frequency, scaling) for frequency in plain)


def far_frequencies(rope: Rope, head_dim: int) -> tuple[float, ...] | None:
    """Return the rotations of a batch that leaves the original context; None for the same ones."""
    if not isinstance(rope.scaling, LongRope):
        return None
    return longrope_frequencies(rope, rope.scaling.long, rope.dims(head_dim))


def scaled_frequency(frequency: float, scaling: Linear | Llama3 | None) -> float:
    """Return one frequency after scaling (see ``Linear`` and ``Llama3`` for the sources)."""
    if scaling is None:
        return frequency
    slowed = frequency / scaling.factor
    if isinstance(scaling, Linear):
        return slowed
    turns = scaling.original_max_positions * frequency / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    # 0 up to `low` turns within the original context, 1 from `high` turns on, a ramp between.
    kept = min(1.0, max(0.0, (turns - low) / (high - low)))
    return (1 - kept) * slowed + kept * frequency


class Rotary(nn.Module):
    """Rotary position embedding: each pair of a head's entries turns with the position.

    The frequencies are Python numbers, not a buffer: a float32 buffer would keep its rounding
    when the decoder becomes float64.
    """

    def __init__(self, rope: Rope, head_dim: int) -> None:
        super().__init__()
        self.inverse_frequencies = inverse_frequencies(rope, head_dim)
        self.far_frequencies = far_frequencies(rope, head_dim)
        self.original = getattr(rope.scaling, "original_max_positions", 0)
        self.factor = attention_factor(rope)
        self.whole = rope.dims(head_dim) == head_dim
        self.interleaved = rope.interleaved

    def frequencies(self, position_ids_BT: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the rotation per position of each pair, (I,)."""
        device = position_ids_BT.device
        near_I = torch.tensor(self.inverse_frequencies, dtype=dtype, device=device)
        if self.far_frequencies is None:
            return near_I
        far_I = torch.tensor(self.far_frequencies, dtype=dtype, device=device)
        # ROPE-013: one position beyond the original context moves all of the batch; keys that a
        # cache holds from before stay as they were turned.
        return torch.where(position_ids_BT.max() >= self.original, far_I, near_I)

    def phases(self, position_ids_BT: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of every pair's angle, each (B, 1, T, I).

        In at least float32: in bfloat16, positions 256 and 257 are the same number.
        """
        wide = torch.promote_types(dtype, torch.float32)
        frequency_I = self.frequencies(position_ids_BT, wide)
        # ROPE-002, ROPE-003: the angle comes from the given position ids, not from the place in the
        # batch.
        angle_BTI = position_ids_BT.to(wide).unsqueeze(-1) * frequency_I
        cos_B1TI, sin_B1TI = angle_BTI.cos().unsqueeze(1), angle_BTI.sin().unsqueeze(1)
        if self.factor == 1:
            return cos_B1TI, sin_B1TI
        # ROPE-012: in queries and in keys, not once more at the scores.
        return self.factor * cos_B1TI, self.factor * sin_B1TI

    def forward(self, x_BHTK: Tensor, phases: tuple[Tensor, Tensor]) -> Tensor:
        """Turn queries or keys, (B, H, T, K), by the phases of their positions."""
        cos_B1TI, sin_B1TI = phases
        pairs = cos_B1TI.shape[-1]
        # ROPE-004: of a head of which a part is turned, it is the first part.
        wide_BHTN = at_least_float32(x_BHTK if self.whole else x_BHTK[..., : 2 * pairs])
        first_BHTI, second_BHTI = self.apart(wide_BHTN)
        # ROPE-001: the rotation is by plus theta: (a cos - b sin, b cos + a sin).
        turned_BHTN = self.together(
            first_BHTI * cos_B1TI - second_BHTI * sin_B1TI,
            second_BHTI * cos_B1TI + first_BHTI * sin_B1TI,
        ).to(x_BHTK.dtype)
        if self.whole:
            return turned_BHTN
        return torch.cat((turned_BHTN, x_BHTK[..., 2 * pairs :]), dim=-1)

    def apart(self, x_BHTN: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and the second entry of every pair, each (B, H, T, I)."""
        # ROPE-001: the pairs are (i, i + N/2): first half and second half, not neighbours, unless
        # the model asks for those.
        if self.interleaved:
            return x_BHTN[..., ::2], x_BHTN[..., 1::2]
        first_BHTI, second_BHTI = x_BHTN.chunk(2, dim=-1)
        return first_BHTI, second_BHTI

    def together(self, first_BHTI: Tensor, second_BHTI: Tensor) -> Tensor:
        """Return pairs in their places, (B, H, T, N); the inverse of ``apart``."""
        if self.interleaved:
            return torch.stack((first_BHTI, second_BHTI), dim=-1).flatten(-2)
        return torch.cat((first_BHTI, second_BHTI), dim=-1)


class Unturned(nn.Module):
    """What stands in for ``Rotary`` where positions are learned: heads stay as they are."""

    def phases(self, position_ids_BT: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return no phases."""
        del position_ids_BT, dtype
        return ()

    def forward(self, x_BHTK: Tensor, phases: tuple[Tensor, ...]) -> Tensor:
        """Return queries or keys, (B, H, T, K)."""
        del phases
        return x_BHTK
