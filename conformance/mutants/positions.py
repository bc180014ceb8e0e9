"""Faults of rotary position embedding in the decoder.

B batch, T tokens, I rotary pairs, H heads, K head dim.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import at_least_float32, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Honest = Callable[..., Any]


BF16, FP16 = "bfloat16", "float16"


def _rope(config: Any, **changes: Any) -> Any:
    """Return a configuration with another rotation, where it has one."""
    if config.rope is None:
        return config
    return dataclasses.replace(config, rope=dataclasses.replace(config.rope, **changes))


def _is_llama3(scaling: Any) -> bool:
    return hasattr(scaling, "low_freq_factor")


def _turned(rotary: Any, angle_BTI: Any) -> tuple[Any, Any]:
    """Return the phases of angles, as ``Rotary.phases`` does."""
    parts = angle_BTI.cos().unsqueeze(1), angle_BTI.sin().unsqueeze(1)
    return parts[0] * rotary.factor, parts[1] * rotary.factor


class _InTurn:
    """Phases that differ between the queries, which are turned first, and the keys."""

    def __init__(self, *phases: tuple[Any, Any]) -> None:
        self._left = list(phases)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._left.pop(0))


@mutant(
    "config",
    kills=("LOGITS-001", "FAULT-001", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
    below_noise_at=("bf16",),
)
def rope_base_10001(config: Any) -> Any:
    """The base of the rotation is a ten-thousandth too large: 10001 for 10000."""
    return _rope(config, theta=config.rope.theta * 1.0001) if config.rope else config


@mutant(
    "config",
    kills=("LOGITS-001", "LOGITS-002", "ROPE-003", "EQUIV-001", "EQUIV-002", "EQUIV-003"),
    bug="generic",
)
def rope_base_ignored(config: Any) -> Any:
    """The base is 10000, whatever the checkpoint says."""
    return _rope(config, theta=10000.0)


@mutant(
    "config",
    kills=("LOGITS-001", "LOGITS-002", "ROPE-003", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def rope_base_of_another_family(config: Any) -> Any:
    """The base is 500000, that of Llama 3, whatever the checkpoint says."""
    return _rope(config, theta=500000.0)


@mutant(
    "inverse_frequencies",
    kills=("LOGITS-001", "LOGITS-002", "ROPE-003", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def rope_exponent_halved(honest: Honest, rope: Any, head_dim: int) -> Any:
    """Pair i turns with the base to the power of -i / K, where -2 i / K is meant."""
    return honest(dataclasses.replace(rope, theta=rope.theta**0.5), head_dim)


@mutant(
    "scaled_frequency",
    kills=("LOGITS-001", "LOGITS-002", "ROPE-003"),
    bug="ggml-org/llama.cpp#8650",
)
def rope_scaling_ignored(_: Honest, frequency: float, scaling: Any) -> float:
    """The checkpoint's frequency scaling is not applied."""
    del scaling
    return frequency


@mutant("scaled_frequency", kills=("LOGITS-001", "LOGITS-002", "ROPE-003"), bug="generic")
def scaling_of_every_frequency(_: Honest, frequency: float, scaling: Any) -> float:
    """Llama 3's scaling divides every frequency by the factor, as linear scaling does."""
    return frequency / scaling.factor if scaling else frequency


@mutant("scaled_frequency", kills=("LOGITS-001", "LOGITS-002", "ROPE-003"), bug="generic")
def scaling_borders_swapped(honest: Honest, frequency: float, scaling: Any) -> Any:
    """The low and the high frequency factor of Llama 3's scaling are swapped."""
    if not _is_llama3(scaling):
        return honest(frequency, scaling)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    swapped = dataclasses.replace(scaling, low_freq_factor=high, high_freq_factor=low)
    return honest(frequency, swapped)


@mutant("scaled_frequency", kills=("LOGITS-001", "LOGITS-002", "ROPE-003"), bug="generic")
def scaling_factor_inverted(honest: Honest, frequency: float, scaling: Any) -> Any:
    """Slowed frequencies are multiplied by the scaling factor, where they are to be divided."""
    if scaling is None:
        return honest(frequency, scaling)
    return honest(frequency, dataclasses.replace(scaling, factor=1 / scaling.factor))


@mutant(
    "scaled_frequency", kills=("LOGITS-001", "LOGITS-002", "ROPE-003", "LONG-001"), bug="generic"
)
def scaling_length_ignored(honest: Honest, frequency: float, scaling: Any) -> Any:
    """Llama 3's scaling takes 8192 for the original context, whatever the checkpoint says."""
    if not _is_llama3(scaling):
        return honest(frequency, scaling)
    return honest(frequency, dataclasses.replace(scaling, original_max_positions=8192))


@mutant("scaled_frequency", kills=("LOGITS-001", "LOGITS-002", "ROPE-003"), bug="generic")
def scaling_without_a_ramp(honest: Honest, frequency: float, scaling: Any) -> Any:
    """Llama 3's scaling has no ramp: what lies between the two borders is kept as it was."""
    scaled = honest(frequency, scaling)
    if scaling is None or scaled <= frequency / scaling.factor * 1.000001:
        return scaled
    return frequency


@mutant(
    "Rotary.forward",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="huggingface/transformers#47403",
)
def rope_pairs_interleaved(honest: Honest, self: Any, x_BHTK: Any, phases: Any) -> Any:
    """Neighbours are turned as pairs, with weights that are laid out for halves."""
    if self.interleaved:
        return honest(self, x_BHTK, phases)
    apart = x_BHTK.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
    turned = honest(self, apart, phases)
    return turned.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)


@mutant(
    "Rotary.forward",
    kills=("LOGITS-001", "LOGITS-002", "ROPE-003", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def rope_missing(_: Honest, self: Any, x_BHTK: Any, phases: Any) -> Any:
    """Queries and keys are not turned at all."""
    del self, phases
    return x_BHTK


@mutant("Rotary.forward", kills=("LOGITS-001", "LOGITS-002", "ROPE-003"), bug="generic")
def rope_of_half_the_head(honest: Honest, self: Any, x_BHTK: Any, phases: Any) -> Any:
    """Only the first K / 2 entries of a head are turned, as with a partial rotary factor of 0.5."""
    import torch  # noqa: PLC0415  # this module is imported where torch is not

    turned, kept = x_BHTK.chunk(2, dim=-1)
    pairs = turned.shape[-1] // 2
    first = honest(self, turned, tuple(part[..., :pairs] for part in phases))
    return torch.cat((first, kept), dim=-1)


@mutant("Attention.forward", kills=("LOGITS-001", "LOGITS-002", "ROPE-003"), bug="generic")
def rope_of_queries_only(honest: Honest, self: Any, x: Any, allowed: Any, *others: Any) -> Any:
    """Queries are turned, and keys are not."""
    phases, past = others
    if not phases:
        return honest(self, x, allowed, *others)
    cos, sin = phases
    still = (cos * 0 + 1, sin * 0)
    return honest(self, x, allowed, _InTurn(phases, still), past)


@mutant(
    "Attention.forward",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def rope_of_queries_backwards(honest: Honest, self: Any, x: Any, allowed: Any, *others: Any) -> Any:
    """Queries are turned by minus the angle, and keys by plus."""
    phases, past = others
    if not phases:
        return honest(self, x, allowed, *others)
    cos, sin = phases
    return honest(self, x, allowed, _InTurn((cos, -sin), phases), past)


@mutant("Rotary.phases", kills=("LOGITS-001", "ROPE-003"), bug="huggingface/transformers#44158")
def position_ids_ignored(honest: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """The index of a token in its row is taken for its position."""
    index_BT = position_ids_BT.new_ones(position_ids_BT.shape).cumsum(1) - 1
    return honest(self, index_BT, dtype)


@mutant("Rotary.phases", kills=("LOGITS-001",), bug="generic")
def positions_of_the_first_row(honest: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """All rows of a batch get the positions of the first."""
    return honest(self, position_ids_BT[:1].expand_as(position_ids_BT), dtype)


@mutant("Rotary.phases", kills=("LOGITS-001",), bug="generic")
def positions_beyond_the_table(honest: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """The table of phases has 256 rows, and later positions get the last of them."""
    return honest(self, position_ids_BT.clamp(max=255), dtype)


@mutant("Rotary.phases", kills=("LOGITS-001",), bug="generic")
def positions_in_eight_bits(honest: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """Positions are kept in eight bits and begin again at 256."""
    return honest(self, position_ids_BT % 256, dtype)


@mutant("Rotary.phases", kills=("ROPE-014", "LONG-001"), bug="generic")
def positions_beyond_a_longer_table(
    honest: Honest, self: Any, position_ids_BT: Any, dtype: Any
) -> Any:
    """The table of phases has 2048 rows, and later positions get the last of them."""
    return honest(self, position_ids_BT.clamp(max=2047), dtype)


@mutant("Rotary.phases", kills=("ROPE-014", "CLOSED-001"), bug="generic")
def positions_wrapped_at_512(honest: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """The table of phases has 512 rows and begins again behind the last."""
    return honest(self, position_ids_BT % 512, dtype)


@mutant("Rotary.phases", kills=("ROPE-014", "LONG-001"), bug="ml-explore/mlx-lm#1076")
def far_positions_in_float16(honest: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """Positions are float16 numbers, which are even from 2048 on."""
    return honest(self, rounded(position_ids_BT.double(), FP16), dtype)


@mutant(
    "Rotary.phases",
    kills=("LOGITS-001", "LOGITS-002", "ROPE-003"),
    bug="huggingface/transformers#29285",
)
def phases_in_bfloat16(_: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """Positions, frequencies and their products are bfloat16 numbers."""
    wide = at_least_float32(dtype)
    frequency_I = rounded(position_ids_BT.new_tensor(self.inverse_frequencies, dtype=wide), BF16)
    position_BT1 = rounded(position_ids_BT.to(wide), BF16).unsqueeze(-1)
    return _turned(self, rounded(position_BT1 * frequency_I, BF16))


@mutant("Rotary.phases", kills=("LOGITS-001",), bug="huggingface/diffusers#13922")
def phases_under_autocast(_: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """Autocast rounds positions and frequencies to bfloat16 before it multiplies them."""
    wide = at_least_float32(dtype)
    frequency_I = rounded(position_ids_BT.new_tensor(self.inverse_frequencies, dtype=wide), BF16)
    position_BT1 = rounded(position_ids_BT.to(wide), BF16).unsqueeze(-1)
    return _turned(self, position_BT1 * frequency_I)


@mutant("Rotary.phases", kills=("LOGITS-001",), bug="ml-explore/mlx-lm#1076")
def phases_in_float16(_: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """Positions, frequencies and their products are float16 numbers."""
    wide = at_least_float32(dtype)
    frequency_I = rounded(position_ids_BT.new_tensor(self.inverse_frequencies, dtype=wide), FP16)
    return _turned(self, rounded(position_ids_BT.to(wide).unsqueeze(-1) * frequency_I, FP16))


@mutant("inverse_frequencies", kills=("LOGITS-001",), bug="KellerJordan/modded-nanogpt#39")
def frequencies_in_bfloat16(honest: Honest, rope: Any, head_dim: int) -> Any:
    """The frequencies are a buffer that became bfloat16 together with the weights."""
    import torch  # noqa: PLC0415  # this module is imported where torch is not

    # A decoder is built on a device whose tensors hold no numbers.
    exact = torch.tensor(honest(rope, head_dim), dtype=torch.float64, device="cpu")
    return tuple(rounded(exact, BF16).tolist())


@mutant(
    "Rotary.phases",
    kills=("LOGITS-001",),
    bug="NVIDIA/TransformerEngine#1245",
    below_noise_at=("bf16",),
)
def cosines_in_bfloat16(honest: Honest, self: Any, *arguments: Any) -> Any:
    """Cosines and sines are rounded to bfloat16 before they are used."""
    return tuple(rounded(part, BF16) for part in honest(self, *arguments))


@mutant(
    "Rotary.forward",
    kills=("LOGITS-001", "LOGITS-002"),
    bug="NVIDIA/TransformerEngine#1245",
    equivalent_at={"bf16": "Turned vectors are bfloat16 numbers there."},
)
def rotation_in_bfloat16(honest: Honest, self: Any, x_BHTK: Any, phases: Any) -> Any:
    """Turned queries and keys are rounded to bfloat16."""
    return rounded(honest(self, x_BHTK, phases), BF16)
