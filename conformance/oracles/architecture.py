"""What the oracle's decoder has to know of a model, read from a Hugging Face ``config.json``.

A reader of its own, independent of the reference model's. Unknown keys and contradictions are
found elsewhere, when a package is opened; here everything that would change the function is either
understood or refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.errors import PackageError
from conformance.oracles import bloom, gpt2
from conformance.oracles.rope import need as _need
from conformance.oracles.rope import read_glm4_rope, read_phi3_rope, read_rope, read_yarn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conformance.oracles.rope import Rope


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder of the Llama family."""

    vocab: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    epsilon: float
    tied: bool
    rope: Rope | None
    """None where positions are learned and added to the tokens, or lower scores."""
    max_positions: int
    windows: tuple[int | None, ...] = ()
    """By layer: how many keys a query sees, itself the last of them; None for all. Empty where no
    layer has a window."""
    biased: bool = False
    """Whether the projections of queries, keys and values add a bias."""
    all_biased: bool = False
    """Whether every projection does."""
    head_norms: bool = False
    """Whether each head's queries and keys are normalised before they are turned."""
    norm_offset: float = 0.0
    """What the norms add to their weights."""
    scaled_wide: bool = False
    """Whether the norms scale before they round."""
    centred: bool = False
    """Whether the norms are LayerNorm: they subtract the mean, and add a bias."""
    sandwich: bool = False
    """Whether norms stand behind attention and feed-forward as well as before."""
    embedding_factor: float = 1.0
    """What embedded tokens are multiplied by, once it is rounded to a weight's type."""
    activation: str = "silu"
    """Of the gate, or of the units: ``silu``, ``gelu_tanh``, ``gelu`` or ``relu``."""
    experts: int = 0
    """Of how many feed-forwards each token passes a few; 0 where there is one for all."""
    chosen: int = 0
    """How many of the experts a token passes."""
    chosen_alone: bool = False
    """Whether shares are the softmax over the chosen experts' scores alone, and not over all."""
    renormalised: bool = True
    """Whether shares of the softmax over all are divided by those of the chosen."""
    expert_hidden: int = 0
    """Units of an expert, where the layers without have others; 0 for ``hidden``."""
    shared_hidden: int = 0
    """Units of an expert that every token passes, as far as its own gate is open; 0 for none."""
    dense_layers: tuple[int, ...] = ()
    """Layers that have one feed-forward for all tokens, whatever the others have."""
    gated: bool = True
    """Whether the feed-forward's units are multiplied by a gate."""
    limit: float | None = None
    """Where SwiGLU clamps the gate from above and what it multiplies on both sides."""
    sharpness: float = 1.0
    """What SwiGLU's sigmoid multiplies the gate by."""
    unit_offset: float = 0.0
    """What is added to what the gate multiplies."""
    sinks: bool = False
    """Whether each head has one more logit in its softmax, without a value."""
    score_scale: float | None = None
    """What products of queries and keys are multiplied by; None for the usual root."""
    score_cap: float | None = None
    """Where scores, and likewise logits, are bent to: cap tanh(x / cap)."""
    logit_cap: float | None = None
    local_rope: Rope | None = None
    """How layers with a window turn queries and keys, where they have a rotation of their own."""

    linear_bias: bool = False
    """Whether scores fall with a key's distance, in each head by another slope."""
    embedding_norm: bool = False
    """Whether embedded tokens are normalised."""

    def is_mixture(self, layer: int) -> bool:
        """Return whether each token passes only some of a layer's feed-forwards."""
        return self.experts > 0 and layer not in self.dense_layers

    @property
    def learned(self) -> bool:
        """Whether positions have vectors of their own."""
        return self.rope is None and not self.linear_bias

    def window(self, layer: int) -> int | None:
        """Return how many keys a query of a layer sees; None for all."""
        return self.windows[layer] if self.windows else None

    def rope_of(self, layer: int) -> Rope | None:
        """Return how a layer turns queries and keys."""
        own = self.local_rope if self.window(layer) is not None else None
        return own or self.rope

    @property
    def neighbours(self) -> bool:
        """Whether neighbouring channels are turned as pairs, in every layer."""
        return self.rope is not None and self.rope.neighbours

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Architecture:
        """Read a Hugging Face configuration, as transformers 4 or 5 writes it.

        Raises:
            PackageError: a key is missing, or asks for something that the oracle does not compute.
        """
        own = {"gpt2": gpt2.read, "bloom": bloom.read}.get(str(config.get("model_type")))
        if own is not None:
            return Architecture(**own(config))
        _refuse(config)
        heads, dim = int(_need(config, "num_attention_heads")), int(_need(config, "hidden_size"))
        kv_heads = _or_default(config, "num_key_value_heads", heads)
        if heads % kv_heads:
            raise PackageError(
                f"{heads} num_attention_heads are not a multiple of {kv_heads} num_key_value_heads"
            )
        return Architecture(
            vocab=int(_need(config, "vocab_size")),
            dim=dim,
            layers=int(_need(config, "num_hidden_layers")),
            heads=heads,
            kv_heads=kv_heads,
            head_dim=_or_default(config, "head_dim", dim // heads),
            hidden=int(_need(config, "intermediate_size")),
            epsilon=float(_need(config, "rms_norm_eps")),
            tied=bool(config.get("tie_word_embeddings", config["model_type"] in _TIED)),
            rope=_ROTATIONS.get(config["model_type"], read_rope)(
                _of_kind(config, "full_attention")
            ),
            max_positions=int(_need(config, "max_position_embeddings")),
            **_FAMILIES[config["model_type"]](config),
        )


def _mistral(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read the window of arXiv:2310.06825, section 2, which all layers have; null means none."""
    if "sliding_window" not in config:
        raise PackageError("sliding_window is missing; where there is none it is null")
    window = config["sliding_window"]
    return {} if window is None else {"windows": (int(window),) * int(config["num_hidden_layers"])}


def _mixtral(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read the mixture of arXiv:2401.04088, section 2.1, and the window that a Mistral has."""
    return {**_mistral(config), **_routed(config)}


def _routed(config: Mapping[str, Any]) -> dict[str, Any]:
    experts, chosen = (
        int(_need(config, key)) for key in ("num_local_experts", "num_experts_per_tok")
    )
    if not 1 <= chosen <= experts:
        raise PackageError(f"num_experts_per_tok is {chosen}; there are {experts} experts")
    return {"experts": experts, "chosen": chosen}


def _qwen2_moe(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read Qwen2-MoE, arXiv:2407.10671, section 2.2.2, and its published code.

    Routed experts are narrower than the feed-forward of a layer without, and beside them stands one
    for every token. No layer slides: readers do not agree on which would.
    """
    if config.get("use_sliding_window", False) or "sliding_attention" in _kinds(config):
        raise PackageError("a layer has a window; the oracle computes qwen2_moe without")
    layers, step = (
        range(int(config["num_hidden_layers"])),
        int(_need(config, "decoder_sparse_step")),
    )
    named = config.get("mlp_only_layers") or ()
    routed = _routed({**config, "num_local_experts": _need(config, "num_experts")})
    return {
        **routed,
        "biased": True,
        "renormalised": bool(_need(config, "norm_topk_prob")),
        "expert_hidden": int(_need(config, "moe_intermediate_size")),
        "shared_hidden": int(_need(config, "shared_expert_intermediate_size")),
        "dense_layers": tuple(i for i in layers if i in named or (i + 1) % step),
    }


def _kinds(config: Mapping[str, Any]) -> list[str]:
    return config.get("layer_types") or []


def _gpt_oss(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read gpt-oss, arXiv:2508.10925, sections 2.2 and 2.3, and its published code.

    Every other layer slides, the first one first; every product has a bias, every head a sink.
    """
    _need(config, "head_dim")  # absent it would be 64, and not a head's share of the width
    layers = range(int(config["num_hidden_layers"]))
    kinds = config.get("layer_types")
    if kinds is None:
        kinds = ["full_attention" if i % 2 else "sliding_attention" for i in layers]
    slides = "sliding_attention" in kinds
    window = int(_need(config, "sliding_window")) if slides else None
    return {
        **_routed(config),
        "windows": tuple(window if kind == "sliding_attention" else None for kind in kinds),
        "all_biased": True,
        "sinks": True,
        "scaled_wide": True,
        "chosen_alone": True,
        "limit": float(_need(config, "swiglu_limit")),
        "sharpness": float(config.get("swiglu_alpha", 1.702)),
        "unit_offset": 1.0,
    }


def _qwen2(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read what arXiv:2407.10671, section 2.2.1, has: biases, and windows in some layers."""
    return {"biased": True, **_windows_by_layer(config)}


def _qwen3(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read what arXiv:2505.09388, section 2, has: normalised queries and keys, and no biases."""
    _need(config, "head_dim")  # absent it would be 128, and not a head's share of the width
    return {"head_norms": True, **_windows_by_layer(config)}


def _phi3(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read the window of arXiv:2404.14219, section 2, which all layers have; absent, none has."""
    return _mistral({"sliding_window": None, **config})


def _glm4(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read GLM-4 (arXiv:2406.12793, section 2.1): norms behind, and biases where the file has them.

    Of its releases the larger ones have none.
    """
    _need(config, "head_dim")  # absent it would be 128, and not a head's share of the width
    return {"biased": bool(_need(config, "attention_bias")), "sandwich": True}


def _gemma2(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read Gemma 2, arXiv:2408.00118, section 2: every other layer slides, the first one first."""
    _need(config, "head_dim")  # absent it would be 256, and not a head's share of the width
    window, layers = int(_need(config, "sliding_window")), range(int(config["num_hidden_layers"]))
    kinds = config.get("layer_types")
    if kinds is None:
        kinds = ["full_attention" if i % 2 else "sliding_attention" for i in layers]
    return {
        "windows": tuple(window if kind == "sliding_attention" else None for kind in kinds),
        "norm_offset": 1.0,
        "scaled_wide": True,
        "sandwich": True,
        "embedding_factor": float(config["hidden_size"]) ** 0.5,
        "activation": "gelu_tanh",
        "score_scale": float(_need(config, "query_pre_attn_scalar")) ** -0.5,
        "score_cap": _cap(config, "attn_logit_softcapping"),
        "logit_cap": _cap(config, "final_logit_softcapping"),
    }


def _gemma3(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read Gemma 3, arXiv:2503.19786, section 2.

    Normalised heads stand for caps of scores, five layers with windows for each without, and the
    two kinds turn by bases of their own, of which that of the windows is never scaled.
    """
    layers, kinds = range(int(config["num_hidden_layers"])), config.get("layer_types")
    if kinds is None:
        every = int(_need(config, "sliding_window_pattern"))
        kinds = [
            "full_attention" if i % every == every - 1 else "sliding_attention" for i in layers
        ]
    local = _of_kind(config, "sliding_attention")
    if "rope_parameters" not in local:  # before transformers 5
        local = {"rope_theta": _need(config, "rope_local_base_freq")}
    caps = {"attn_logit_softcapping": None, "final_logit_softcapping": None}
    read = _gemma2({**caps, **config, "layer_types": kinds})
    if read["score_cap"] is not None:
        raise PackageError("attn_logit_softcapping is a number; a Gemma 3 does not cap its scores")
    return {**read, "head_norms": True, "local_rope": read_rope(local)}


def _of_kind(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return a config with the rotary parameters of one kind of layers, where it tells kinds apart.

    Only Gemma 3 does, in the keys of transformers 5.
    """
    nested = config.get("rope_parameters") or {}
    if config["model_type"] != "gemma3_text" or not nested:
        return dict(config)
    if set(nested) != {"full_attention", "sliding_attention"}:
        raise PackageError(f"rope_parameters has {sorted(nested)}; it names both kinds of layers")
    return {**config, "rope_parameters": nested[kind]}


def _cap(config: Mapping[str, Any], key: str) -> float | None:
    if key not in config:
        raise PackageError(f"{key} is missing; where there is none it is null")
    return None if config[key] is None else float(config[key])


def _windows_by_layer(config: Mapping[str, Any]) -> dict[str, Any]:
    """Read Qwen's windows, which one key switches on and another limits to the later layers.

    A list of layers' kinds is newer, and is what counts where it stands.
    """
    if not config.get("use_sliding_window", False):
        return {}
    window = int(_need(config, "sliding_window"))
    layers = range(int(config["num_hidden_layers"]))
    kinds = config.get("layer_types")
    if kinds is None:
        first = int(_need(config, "max_window_layers"))
        kinds = ["sliding_attention" if i >= first else "full_attention" for i in layers]
    slides = {"sliding_attention": window, "full_attention": None}
    if len(kinds) != len(layers) or not set(kinds) <= set(slides):
        raise PackageError(f"layer_types is {kinds}; it names sliding or full attention by layer")
    return {"windows": tuple(slides[kind] for kind in kinds)}


_FAMILIES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "llama": lambda _: {},
    "mistral": _mistral,
    "mixtral": _mixtral,
    "gpt_oss": _gpt_oss,
    "qwen2": _qwen2,
    "qwen2_moe": _qwen2_moe,
    "qwen3": _qwen3,
    "phi3": _phi3,
    "glm4": _glm4,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
}
"""What each type of model has beside a Llama, by the fields of ``Architecture``."""
_ACTIVATIONS: Mapping[str, tuple[str, str]] = {
    "gemma2": ("hidden_activation", "gelu_pytorch_tanh"),
    "gemma3_text": ("hidden_activation", "gelu_pytorch_tanh"),
}
"""Where a type of model does not have SiLU: the key of its activation, and what is computed."""
_ROTATIONS: Mapping[str, Callable[[Mapping[str, Any]], Rope]] = {
    "phi3": read_phi3_rope,
    "glm4": read_glm4_rope,
    "gpt_oss": read_yarn,
}
"""Types of models that keep some keys of their rotation elsewhere, or have one kind alone."""
_TIED = ("gemma2", "gemma3_text")
"""Types of models whose head is the embedding where nothing is said; their releases say nothing."""
_BIASED = ("qwen2", "qwen2_moe", "glm4", "gpt_oss")
"""Types of models whose attention has biases by their name, or by this key and as they read it."""
_ONLY: Mapping[str, tuple[Any, ...]] = {
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "qkv_bias": (True,),
    "use_bidirectional_attention": (False, None),
    "quantization_config": (None,),
}
"""The values that the oracle computes; an absent key means the last."""


def _refuse(config: Mapping[str, Any]) -> None:
    kind = _need(config, "model_type")
    if kind not in _FAMILIES:
        known = ", ".join((*_FAMILIES, "gpt2", "bloom"))
        raise PackageError(f"model_type is {kind!r}; the oracle computes {known}")
    key, activation = _ACTIVATIONS.get(kind, ("hidden_act", "silu"))
    if config.get(key, activation) != activation:
        raise PackageError(f"{key} is {config[key]!r}; the oracle computes only {activation!r}")
    for key, values in _ONLY.items():
        value = config.get(key, values[-1])
        # Some have the biases of their attention by their name, and say so at the most.
        if value not in values and not (key == "attention_bias" and kind in _BIASED):
            raise PackageError(f"{key} is {value!r}; the oracle computes only {values[0]!r}")


def _or_default(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    return default if value is None else int(value)
