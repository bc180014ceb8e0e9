"""What has to hold between the numbers of a decoder's config, whatever file it was read from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reference_model.config import Llama3, LongRope, Yarn

if TYPE_CHECKING:
    from reference_model.config import Attention, Experts, Mlp, ModelConfig, Rope


def validate(config: ModelConfig) -> None:
    """Check that the parts of a config fit together.

    Raises:
        ValueError: a number is out of its range, or two contradict each other.
    """
    attention = config.attention
    _validate_counts(config)
    _validate_positions(config)
    _validate_windows(attention, config.layers)
    _validate_experts(config.mlp.experts, config.layers)
    _validate_units(config.mlp)
    for name, number in (
        ("attention.query_scalar", attention.query_scalar),
        ("attention.softcap", attention.softcap),
        ("embedding_scale", config.embedding_scale),
        ("logit_softcap", config.logit_softcap),
        ("mlp.limit", config.mlp.limit),
        ("mlp.sharpness", config.mlp.sharpness),
    ):
        _require(number is None or _positive(number), f"{name} is {number}; it has to be positive")
    _require(
        not (config.norm.centred and (config.norm.offset or config.norm.wide)),
        f"norm is {config.norm}; a centred one has neither an offset nor a width",
    )
    _require(_positive(config.norm.eps), f"norm.eps is {config.norm.eps}; it has to be positive")
    for name, rope in (("rope", config.rope), ("local_rope", config.local_rope)):
        if rope is not None:
            _validate_rope(rope, name, attention.head_dim)


def _validate_counts(config: ModelConfig) -> None:
    attention = config.attention
    for name, count in (
        ("vocab", config.vocab),
        ("dim", config.dim),
        ("layers", config.layers),
        ("attention.heads", attention.heads),
        ("attention.kv_heads", attention.kv_heads),
        ("attention.head_dim", attention.head_dim),
        ("mlp.hidden", config.mlp.hidden),
        ("max_positions", config.max_positions),
    ):
        _require(count >= 1, f"{name} is {count}; it has to be at least 1")
    _require(
        attention.heads % attention.kv_heads == 0,
        f"attention.heads is {attention.heads}, which {attention.kv_heads} kv_heads do not divide; "
        "every key/value head serves the same number of query heads",
    )


def _validate_positions(config: ModelConfig) -> None:
    attention = config.attention
    ways = (config.learned_positions, config.rope is not None, attention.alibi)
    _require(
        ways.count(True) == 1,
        f"learned_positions is {config.learned_positions}, rope is {config.rope} and "
        f"attention.alibi is {attention.alibi}; positions are learned, or turn heads, or lower "
        "scores: one of the three",
    )
    _require(
        config.rope is None or attention.head_dim % 2 == 0,
        f"attention.head_dim is {attention.head_dim}; rotary position embedding turns pairs, so it "
        "has to be even",
    )
    _require(
        config.local_rope is None or attention.window is not None,
        "local_rope is that of layers with a window, and no layer has one",
    )


def _validate_experts(experts: Experts | None, layers: int) -> None:
    if experts is None:
        return
    _require(
        1 <= experts.chosen <= experts.count,
        f"mlp.experts is {experts}; at least one and at most all of them are chosen",
    )
    _require(
        (experts.hidden is None or experts.hidden >= 1) and experts.shared >= 0,
        f"mlp.experts is {experts}; it has units: at least 1 each, and 0 or more that are shared",
    )
    dense = experts.dense_layers
    _require(
        dense < set(range(layers)),
        f"mlp.experts.dense_layers is {sorted(dense)}; it names some of the layers, 0 to "
        f"{layers - 1}, and not all",
    )


def _validate_units(mlp: Mlp) -> None:
    own = mlp.limit is not None or mlp.sharpness != 1 or mlp.offset != 0
    _require(
        not own or (mlp.gated and mlp.activation == "silu"),
        f"mlp is {mlp}; a limit, a sharpness and an offset are of units with a gate and SiLU",
    )
    _require(math.isfinite(mlp.offset), f"mlp.offset is {mlp.offset}; it has to be finite")


def _validate_windows(attention: Attention, layers: int) -> None:
    window, full = attention.window, attention.full_layers
    _require(
        window is None or window >= 1,
        f"attention.window is {window}; a query sees at least itself, so it has to be at least 1",
    )
    _require(
        window is not None or not full,
        f"attention.full_layers is {sorted(full)}, and there is no window for the others",
    )
    _require(
        all(0 <= layer < layers for layer in full),
        f"attention.full_layers is {sorted(full)}; the layers are 0 to {layers - 1}",
    )
    _require(
        window is None or len(full) < layers,
        f"attention.window is {window}, and no layer has it",
    )


def _validate_rope(rope: Rope, name: str, head_dim: int) -> None:
    theta, scaling = rope.theta, rope.scaling
    _require(
        _positive(theta) and theta > 1, f"{name}.theta is {theta}; it has to be finite and above 1"
    )
    dims = rope.dims(head_dim)
    _require(
        0 < rope.share <= 1 and dims >= 2 and dims % 2 == 0,
        f"{name}.share is {rope.share}, which turns {dims} of {head_dim} channels; it has to be at "
        "most 1, and to turn pairs",
    )
    if scaling is None:
        return
    _require(
        _positive(scaling.factor) and scaling.factor >= 1,
        f"{name}.scaling.factor is {scaling.factor}; it has to be finite and at least 1",
    )
    if isinstance(scaling, Llama3):
        low, high = scaling.low_freq_factor, scaling.high_freq_factor
        _require(
            _positive(low) and _positive(high) and low < high,
            f"{name}.scaling has low_freq_factor {low} and high_freq_factor {high}; both have to "
            "be positive, the low one below the high one",
        )
    if isinstance(scaling, Yarn):
        _validate_yarn(scaling, name)
    if isinstance(scaling, LongRope):
        _validate_longrope(scaling, name, dims // 2)
    if isinstance(scaling, Llama3 | Yarn | LongRope):
        positions = scaling.original_max_positions
        _require(
            positions >= 1,
            f"{name}.scaling.original_max_positions is {positions}; it has to be at least 1",
        )


def _validate_longrope(scaling: LongRope, name: str, pairs: int) -> None:
    for kind, factors in (("short", scaling.short), ("long", scaling.long)):
        _require(
            len(factors) == pairs and all(_positive(one) for one in factors),
            f"{name}.scaling.{kind} has {len(factors)} factors, {factors}; it has to have a "
            f"positive one for each of {pairs} pairs",
        )
    given = scaling.attention_factor
    _require(
        given is None or _positive(given),
        f"{name}.scaling.attention_factor is {given}; it has to be positive",
    )
    # Its root divides by the logarithm of the length.
    _require(
        scaling.original_max_positions > 1,
        f"{name}.scaling.original_max_positions is {scaling.original_max_positions}; it has to be "
        "at least 2",
    )


def _validate_yarn(scaling: Yarn, name: str) -> None:
    slow, fast = scaling.beta_slow, scaling.beta_fast
    _require(
        _positive(slow) and _positive(fast) and slow < fast,
        f"{name}.scaling has beta_slow {slow} and beta_fast {fast}; both have to be positive, the "
        "slow one below the fast one",
    )
    given = scaling.attention_factor
    _require(
        given is None or _positive(given),
        f"{name}.scaling.attention_factor is {given}; it has to be positive",
    )
    weights = scaling.mscale, scaling.mscale_all_dim
    _require(
        weights == (None, None) or (given is None and all(w and _positive(w) for w in weights)),
        f"{name}.scaling has mscale {weights[0]}, mscale_all_dim {weights[1]} and attention_factor "
        f"{given}; both of the first have to be positive and the last absent, or both absent",
    )


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _require(ok: bool, message: str) -> None:  # noqa: FBT001  # the condition is the subject
    if not ok:
        raise ValueError(message)
