"""What a decoder is made of, as frozen values. No file format, no checkpoint's defaults.

Every number has to be given: a default here would be some checkpoint's opinion. What only some
families have is absent unless it is asked for. How a Hugging Face ``config.json`` says the same
things is the business of ``huggingface``.
"""

from __future__ import annotations

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
    sinks: bool = False
    """Whether each head has a sink: one more logit, learned, which takes its share of every query's
    softmax and has no value (gpt-oss: OpenAI 2025, section 2.3; Xiao et al. 2024, section 3)."""
    softcap: float | None = None
    """Where scores are bent to, cap tanh(s / cap), before the mask (Gemma Team 2024, section 2)."""
    alibi: bool = False
    """Whether scores fall with the distance of a key, in each head by another slope, in place of a
    rotation (ALiBi: Press et al. 2022, section 3; BLOOM: Scao et al. 2022, section 3.2.2)."""

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
    interleaved: bool = False
    """Whether the pairs are neighbours, (2i, 2i + 1), as the paper has them (eq. 15), and not the
    halves' (i, i + N/2), as Llama's checkpoints are laid out for (GLM-4: Team GLM 2024)."""

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
    bias: bool = False
    """Whether the router has one (gpt-oss: OpenAI 2025, section 2.2)."""
    hidden: int | None = None
    """Units of each, where ``Mlp.hidden`` is of layers without a mixture (Qwen Team 2024)."""
    shared: int = 0
    """Units of one more expert that every token passes, times the sigmoid of a product of its own
    with the token (Dai et al. 2024, section 3.2; the gate: Qwen2-MoE's published code); 0 for
    none."""
    dense_layers: frozenset[int] = frozenset()
    """Layers that have one network of ``Mlp.hidden`` units in place of the mixture."""


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
    limit: float | None = None
    """Where the gate is clamped from above and what it multiplies on both sides, before anything
    else (gpt-oss: OpenAI 2025, section 2.2, and its published code; so are the next two)."""
    sharpness: float = 1.0
    """What SiLU's sigmoid multiplies the gate by: x sigmoid(sharpness x)."""
    offset: float = 0.0
    """What is added to what the gate multiplies."""

    def experts_of(self, layer: int) -> Experts | None:
        """Return the mixture of a layer; None where it has one network for all tokens."""
        experts = self.experts
        return None if experts is None or layer in experts.dense_layers else experts

    @property
    def expert_hidden(self) -> int:
        """The units of a network that a few of the tokens pass."""
        own = None if self.experts is None else self.experts.hidden
        return self.hidden if own is None else own


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
    embedding_norm: bool = False
    """Whether embedded tokens are normalised before the first layer (BLOOM: Scao et al. 2022,
    section 3.2.2)."""

    def rope_of(self, layer: int) -> Rope | None:
        """Return how a layer turns queries and keys."""
        if self.local_rope is None or self.attention.window_of(layer) is None:
            return self.rope
        return self.local_rope
