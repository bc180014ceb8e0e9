"""What a decoder is made of, as frozen values. No file format, no checkpoint's defaults.

Every number has to be given: a default here would be some checkpoint's opinion. What only some
families have is absent unless it is asked for. How a Hugging Face ``config.json`` says the same
things is the business of ``huggingface``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention heads: ``heads`` query heads share ``kv_heads`` key/value heads.

    As many of both is multi-head, one key/value head is multi-query, and between lies grouped-query
    attention (Ainslie et al. 2023, section 2). ``head_dim`` is free: heads * head_dim need not be
    the model's width.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int | None = None
    """How many keys a query sees, itself among them, counted in slots: the last ``window`` (Beltagy
    et al. 2020, section 3.1; Jiang et al. 2023, section 2). None sees all."""
    full_layers: frozenset[int] = frozenset()
    """Layers that see everything in spite of ``window``."""
    qkv_bias: bool = False
    """Whether queries, keys and values have a bias (Qwen2: Yang et al. 2024, section 2.2.1)."""
    out_bias: bool = False
    """Whether the output projection has one, too (GPT-2: Radford et al. 2019, section 2.3)."""
    qk_norm: bool = False
    """Whether each head's query and key pass an RMSNorm of ``head_dim`` weights, which all heads
    share, before they are turned (Qwen3: Yang et al. 2025, section 2; Dehghani et al. 2023)."""
    query_scalar: int | None = None
    """Scores are divided by its root; None for ``head_dim`` (``query_pre_attn_scalar`` of Gemma 2,
    which the 27B has as the width per head and not as the head's: llama.cpp#8197)."""
    softcap: float | None = None
    """Where scores are bent to, cap tanh(s / cap), before the mask (Gemma Team 2024, section 2)."""

    @property
    def score_dim(self) -> float:
        """The number by whose root scores are divided."""
        return self.head_dim if self.query_scalar is None else self.query_scalar

    def window_of(self, layer: int) -> int | None:
        """Return how many keys a query of a layer sees; None for all."""
        return None if layer in self.full_layers else self.window


@dataclass(frozen=True, slots=True)
class Linear:
    """Position interpolation: frequencies are divided by ``factor`` (Chen et al. 2023, eq. 4)."""

    factor: float


@dataclass(frozen=True, slots=True)
class Llama3:
    """Llama 3.1's scaling: long wavelengths are stretched, short ones kept, a ramp between.

    With L = ``original_max_positions``, a wavelength above L / ``low_freq_factor`` is multiplied by
    ``factor`` and one below L / ``high_freq_factor`` is kept (Meta's llama-models, function
    ``apply_scaling``).
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_positions: int


@dataclass(frozen=True, slots=True)
class Yarn:
    """YaRN: fast pairs are kept, slow ones divided by ``factor``, a ramp over the pairs between.

    A pair is fast that turns more than ``beta_fast`` times within ``original_max_positions``, and
    slow that turns less than ``beta_slow`` times. All cosines and sines are multiplied by an
    attention factor (Peng et al. 2023, sections 3.2 and 3.3; the authors' jquesnelle/yarn).
    """

    factor: float
    original_max_positions: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    """Whether the ramp begins and ends at a pair, rounded outwards, and not between two."""
    attention_factor: float | None = None
    """None for 1 + 0.1 ln(factor), or what the next two make of it (DeepSeek-V2: DeepSeek-AI 2024):
    (1 + 0.1 mscale ln(factor)) / (1 + 0.1 mscale_all_dim ln(factor))."""
    mscale: float | None = None
    mscale_all_dim: float | None = None


@dataclass(frozen=True, slots=True)
class LongRope:
    """LongRoPE: the frequency of each pair is divided by a factor of its own.

    By ``long`` where any position of a call's batch is ``original_max_positions`` or more, and by
    ``short`` else; cosines and sines are multiplied by the root of 1 + ln(factor) /
    ln(original_max_positions) (Ding et al. 2024, section 3; microsoft/LongRoPE).
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    factor: float
    original_max_positions: int
    attention_factor: float | None = None
    """Given in place of that root."""


Scaling = Linear | Llama3 | Yarn | LongRope


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding (Su et al. 2021, section 3.2.2): base ``theta`` and its scaling."""

    theta: float
    scaling: Scaling | None = None
    share: float = 1.0
    """Of a head's channels, the first so many are turned, rounded down; the others pass as they
    are (Black et al. 2022, section 2.1.1; Phi-4-mini: Abouelenin et al. 2025)."""

    def dims(self, head_dim: int) -> int:
        """Return how many channels of a head are turned."""
        return int(head_dim * self.share)


@dataclass(frozen=True, slots=True)
class Norm:
    """RMSNorm (Zhang and Sennrich 2019, eq. 4) with ``eps`` added to the mean square."""

    eps: float
    centred: bool = False
    """Whether the mean is subtracted before and a bias added behind: LayerNorm, with ``eps`` added
    to the variance (Ba et al. 2016, eq. 4)."""
    offset: float = 0.0
    """What is added to the weight: 1 for Gemma, whose checkpoints hold the factor less 1."""
    wide: bool = False
    """Whether the weight multiplies in at least float32, before the cast to the model's type, as in
    Gemma, or behind it, as in Llama (transformers#29402)."""


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture: of ``count`` feed-forward networks each token passes the ``chosen`` best.

    A router scores them (Shazeer et al. 2017, section 2; Jiang et al. 2024, section 2.1).
    """

    count: int
    chosen: int
    softmax_first: bool = True
    """Whether shares are those of the softmax over all experts, or over the chosen alone."""
    renormalise: bool = True
    """Whether the shares of the chosen are divided by their sum (``norm_topk_prob``)."""


Activation = Literal["silu", "gelu_tanh", "gelu", "relu"]


@dataclass(frozen=True, slots=True)
class Mlp:
    """SwiGLU or GEGLU feed-forward (Shazeer 2020, eq. 6) of ``hidden`` units."""

    hidden: int
    activation: Activation = "silu"
    """Of the gate, or of the units where there is none; ``gelu_tanh`` is the approximation of GELU
    (Gemma Team 2024, section 2), ``gelu`` the one by erf (Hendrycks and Gimpel 2016)."""
    gated: bool = True
    """Whether a gate multiplies the units; without, it is that of Vaswani et al. 2017, eq. 2."""
    bias: bool = False
    """Whether its projections have biases."""
    experts: Experts | None = None
    """Of how many such networks each token passes a few; None for one that all pass."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A decoder: ``layers`` blocks of width ``dim`` over a vocabulary of ``vocab`` tokens.

    ``tied`` means that the embedding is the output head too. Positions run from 0 to
    ``max_positions`` - 1.
    """

    vocab: int
    dim: int
    layers: int
    attention: Attention
    rope: Rope | None
    norm: Norm
    mlp: Mlp
    tied: bool
    max_positions: int
    post_norms: bool = False
    """Whether what attention and feed-forward add is normalised (Gemma Team 2024, section 2)."""
    embedding_scale: float = 1.0
    """What embeddings are multiplied by, rounded to their type: the root of ``dim`` for Gemma."""
    logit_softcap: float | None = None
    """Where logits are bent to, cap tanh(x / cap) (Gemma Team 2024, section 2)."""
    local_rope: Rope | None = None
    """How layers with a window turn queries and keys, where the others' ``rope`` is not theirs:
    near positions need no scaling and no large base (Gemma Team 2025, section 2)."""
    learned_positions: bool = False
    """Whether each position has a vector of its own that is added to the token's, in place of
    ``rope`` (GPT-2: Radford et al. 2018, section 3.1)."""

    def rope_of(self, layer: int) -> Rope | None:
        """Return how a layer turns queries and keys."""
        if self.local_rope is None or self.attention.window_of(layer) is None:
            return self.rope
        return self.local_rope


def validate(config: ModelConfig) -> None:
    """Check that the parts of a config fit together.

    Raises:
        ValueError: a number is out of its range, or two contradict each other.
    """
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
    _require(
        config.learned_positions == (config.rope is None),
        f"learned_positions is {config.learned_positions} and rope is {config.rope}; positions are "
        "learned or turn heads: one of the two",
    )
    _require(
        config.rope is None or attention.head_dim % 2 == 0,
        f"attention.head_dim is {attention.head_dim}; rotary position embedding turns pairs, so it "
        "has to be even",
    )
    _validate_windows(attention, config.layers)
    _validate_experts(config.mlp.experts)
    for name, number in (
        ("attention.query_scalar", attention.query_scalar),
        ("attention.softcap", attention.softcap),
        ("embedding_scale", config.embedding_scale),
        ("logit_softcap", config.logit_softcap),
    ):
        _require(number is None or _positive(number), f"{name} is {number}; it has to be positive")
    _require(
        not (config.norm.centred and (config.norm.offset or config.norm.wide)),
        f"norm is {config.norm}; a centred one has neither an offset nor a width",
    )
    _require(_positive(config.norm.eps), f"norm.eps is {config.norm.eps}; it has to be positive")
    _require(
        config.local_rope is None or attention.window is not None,
        "local_rope is that of layers with a window, and no layer has one",
    )
    for name, rope in (("rope", config.rope), ("local_rope", config.local_rope)):
        if rope is not None:
            _validate_rope(rope, name, attention.head_dim)


def _validate_experts(experts: Experts | None) -> None:
    _require(
        experts is None or 1 <= experts.chosen <= experts.count,
        f"mlp.experts is {experts}; at least one and at most all of them are chosen",
    )


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
