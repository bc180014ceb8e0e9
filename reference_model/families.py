"""Families of Hugging Face decoders: which keys each adds to a Llama's, and what they mean.

A name selects keys and what their absence means, as the config classes of transformers do; what is
then computed stands in the config alone, field by field. Nothing here imports torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from reference_model import gemma, glm4, gpt_oss, json_values, mixtral, qwen2_moe
from reference_model.config import Attention, Experts, LongRope, Mlp, Norm, Rope
from reference_model.rope_keys import (
    read_glm4_rope,
    read_phi3_rope,
    read_rope,
    read_ropes,
)
from reference_model.window_keys import (
    WINDOWS,
    read_window,
    read_windows,
    write_window,
    write_windows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reference_model.config import ModelConfig

    Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """One ``model_type``."""

    model_type: str
    architecture: str
    """The class that its ``architectures`` names."""
    keys: tuple[str, ...] = ()
    """Keys that it reads beside a Llama's."""
    demanded: tuple[str, ...] = ()
    """Keys that a Llama may lack, and whose absence means something else here."""
    values: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Keys that are neutral for a Llama and are not for it, with the values that are computed."""
    activation: tuple[str, str, Literal["silu", "gelu_tanh"]] = ("hidden_act", "silu", "silu")
    """The key of its activation, the value that is computed, and what ``Mlp`` calls it."""
    features: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``Attention`` that its name stands for."""
    norm: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``Norm`` that its name stands for."""
    read: Callable[[Document], dict[str, Any]] = lambda _: {}
    """Returns the fields of ``Attention`` that its keys say."""
    read_model: Callable[[Document], dict[str, Any]] = lambda _: {}
    """Returns the fields of ``ModelConfig`` that its name and its keys say."""
    read_mlp: Callable[[Document], dict[str, Any]] = lambda _: {}
    """Returns the fields of ``Mlp`` that its keys say."""
    read_rope: Callable[[Document], dict[str, Any]] = read_rope
    """Returns the rotary fields of ``ModelConfig``."""
    fused: bool = False
    """Whether its checkpoints hold queries, keys and values in one tensor, and gate and up."""
    tied: bool | None = None
    """What an absent ``tie_word_embeddings`` means, where the family's own releases lack it."""
    write: Callable[[ModelConfig], dict[str, Any]] = lambda _: {}
    """Returns its keys for a config."""


def family_of(config: ModelConfig) -> Family:
    """Return the family that computes what a config says.

    Raises:
        ValueError: none does.
    """
    attention = config.attention
    for name, is_one in _BY_CONFIG.items():
        if is_one(config):
            return FAMILIES[name]
    if config != _plain(config):
        raise ValueError(f"no family of {', '.join(FAMILIES)} has all of this: {config}")
    match attention.qkv_bias, attention.qk_norm, attention.window, bool(attention.full_layers):
        case False, False, None, False:
            return FAMILIES["llama"]
        case False, False, _, False:
            return FAMILIES["mistral"]
        case True, False, _, _:
            return FAMILIES["qwen2"]
        case False, True, _, _:
            return FAMILIES["qwen3"]
    raise ValueError(f"no family of {', '.join(FAMILIES)} has such attention: {attention}")


def is_fused(config: ModelConfig) -> bool:
    """Return whether a decoder's checkpoints are written with projections joined."""
    return config.rope is not None and family_of(config).fused


def _plain(config: ModelConfig) -> ModelConfig:
    """Return a config without what only Gemma, Phi-3, GPT-2 or a mixture has."""
    return replace(
        config,
        attention=replace(
            config.attention,
            out_bias=False,
            query_scalar=None,
            softcap=None,
            sinks=False,
            alibi=False,
        ),
        norm=Norm(config.norm.eps),
        mlp=Mlp(config.mlp.hidden),
        learned_positions=False,
        embedding_norm=False,
        post_norms=False,
        embedding_scale=1.0,
        logit_softcap=None,
        local_rope=None,
        rope=Rope(config.rope.theta) if config.rope and _is_long(config.rope) else config.rope,
    )


def _is_long(rope: Rope) -> bool:
    """Return whether queries and keys are turned as only Phi-3's or GLM-4's are."""
    return rope.share != 1 or rope.interleaved or isinstance(rope.scaling, LongRope)


def _gemma(config: ModelConfig, attention: Attention, local_rope: Rope | None) -> ModelConfig:
    """Return a config with everything that every Gemma has, and attention and rope as given."""
    return replace(
        _plain(config),
        attention=attention,
        norm=Norm(config.norm.eps, **gemma.NORM),
        mlp=Mlp(config.mlp.hidden, "gelu_tanh"),
        post_norms=True,
        embedding_scale=math.sqrt(config.dim),
        logit_softcap=config.logit_softcap,
        local_rope=local_rope,
    )


def _is_gemma2(config: ModelConfig) -> bool:
    attention = config.attention
    wanted = _gemma(config, replace(attention, qkv_bias=False, qk_norm=False), None)
    return config == wanted and None not in (attention.query_scalar, attention.window)


def _is_gemma3(config: ModelConfig) -> bool:
    attention, local = config.attention, config.local_rope
    own = replace(attention, qkv_bias=False, qk_norm=True, softcap=None)
    wanted = _gemma(config, own, local and replace(local, scaling=None))
    return config == wanted and None not in (attention.query_scalar, attention.window, local)


def _is_mixtral(config: ModelConfig) -> bool:
    attention, experts = config.attention, config.mlp.experts
    own = replace(attention, qkv_bias=False, qk_norm=False, full_layers=frozenset())
    wanted = replace(_plain(config), mlp=Mlp(config.mlp.hidden, experts=experts))
    decided = experts is not None and experts == Experts(experts.count, experts.chosen)
    return decided and config == wanted and _plain(config).attention == own


def _is_phi3(config: ModelConfig) -> bool:
    """Return whether only a Phi-3 can say what a config says; others are a Llama or a Mistral."""
    attention, rope = config.attention, config.rope
    if rope is None:
        return False
    plain = replace(
        _plain(config),
        attention=Attention(
            attention.heads, attention.kv_heads, attention.head_dim, attention.window
        ),
    )
    shared = attention.heads * attention.head_dim == config.dim
    known = isinstance(rope.scaling, LongRope | None) and not rope.interleaved
    return _is_long(rope) and shared and known and config == replace(plain, rope=rope)


def _read_phi3(document: Document) -> dict[str, Any]:
    """Read Phi-3's window, which all layers have; absent or null, there is none."""
    return read_window({"sliding_window": None, **document})


def _write_phi3(config: ModelConfig) -> dict[str, Any]:
    # Without it transformers would take 32000, and has no row of that number.
    return {**write_window(config), "pad_token_id": None}


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.model_type: family
        for family in (
            Family("llama", "LlamaForCausalLM"),
            Family(
                "mistral",
                "MistralForCausalLM",
                keys=("sliding_window",),
                read=read_window,
                write=write_window,
            ),
            Family(
                "mixtral",
                "MixtralForCausalLM",
                keys=(
                    *("sliding_window", "num_local_experts", "num_experts_per_tok"),
                    *("output_router_logits", "router_aux_loss_coef"),
                ),
                values={"router_jitter_noise": (0.0,)},
                read=read_window,
                read_mlp=mixtral.read_experts,
                write=lambda config: {**write_window(config), **mixtral.write_experts(config)},
            ),
            Family(
                "gpt_oss",
                "GptOssForCausalLM",
                keys=gpt_oss.KEYS,
                demanded=("head_dim",),  # absent it is 64, and not a head's share of the width
                values={"attention_bias": (True,)},
                features={"qkv_bias": True, "out_bias": True, "sinks": True},
                norm={"wide": True},
                read=gpt_oss.read_attention,
                read_rope=gpt_oss.read_rope,
                read_mlp=gpt_oss.read_mlp,
                write=gpt_oss.write,
            ),
            Family(
                "qwen2",
                "Qwen2ForCausalLM",
                keys=WINDOWS,
                # It has biases whatever this key says, and transformers does not look at it.
                values={"attention_bias": (True,)},
                features={"qkv_bias": True},
                read=read_windows,
                write=write_windows,
            ),
            Family(
                "qwen2_moe",
                "Qwen2MoeForCausalLM",
                keys=qwen2_moe.KEYS,
                demanded=("use_sliding_window",),
                values={
                    "attention_bias": (True,),
                    "qkv_bias": (True,),
                    "use_sliding_window": (False,),
                },
                features={"qkv_bias": True},
                read=qwen2_moe.read_attention,
                read_mlp=qwen2_moe.read_mlp,
                write=qwen2_moe.write,
            ),
            Family(
                "qwen3",
                "Qwen3ForCausalLM",
                keys=WINDOWS,
                demanded=("head_dim",),  # absent it is 128, and not a head's share of the width
                features={"qk_norm": True},
                read=read_windows,
                write=write_windows,
            ),
            Family(
                "phi3",
                "Phi3ForCausalLM",
                keys=(
                    "sliding_window",
                    "original_max_position_embeddings",
                    "partial_rotary_factor",
                    "embd_pdrop",
                    "resid_pdrop",
                ),
                fused=True,
                read=_read_phi3,
                read_rope=read_phi3_rope,
                write=_write_phi3,
            ),
            Family(
                "glm4",
                "Glm4ForCausalLM",
                keys=("partial_rotary_factor", "attention_bias"),
                demanded=("head_dim",),  # absent it is 128, and not a head's share of the width
                read=glm4.read_attention,
                read_model=lambda _: {"post_norms": True},
                read_rope=read_glm4_rope,
                # Without it transformers would take 151329, and has no row of that number.
                write=lambda _: {"pad_token_id": None},
            ),
            Family(
                "gemma2",
                "Gemma2ForCausalLM",
                keys=(
                    "query_pre_attn_scalar",
                    "attn_logit_softcapping",
                    "final_logit_softcapping",
                    "sliding_window",
                    "layer_types",
                    "cache_implementation",
                ),
                values=gemma.VALUES,
                read=gemma.read_gemma2,
                read_model=gemma.read_gemma_model,
                **gemma.COMMON,
            ),
            Family(
                "gemma3_text",
                "Gemma3ForCausalLM",
                keys=(
                    "query_pre_attn_scalar",
                    "final_logit_softcapping",
                    "sliding_window",
                    "layer_types",
                    "sliding_window_pattern",
                    "_sliding_window_pattern",  # written beside layer_types, and not read
                    "rope_local_base_freq",
                    "cache_implementation",
                ),
                # Transformers keeps a cap of Gemma 3's scores, and does not apply it.
                values={**gemma.VALUES, "attn_logit_softcapping": (None,)},
                features={"qk_norm": True},
                read=gemma.read_gemma3,
                read_model=gemma.read_gemma3_model,
                read_rope=read_ropes,
                **gemma.COMMON,
            ),
        )
    }
)
"""Every family that is understood, by its ``model_type``."""
_BY_CONFIG: Mapping[str, Callable[[ModelConfig], bool]] = MappingProxyType(
    {
        "gemma2": _is_gemma2,
        "gemma3_text": _is_gemma3,
        "glm4": glm4.is_glm4,
        "gpt_oss": gpt_oss.is_gpt_oss,
        "mixtral": _is_mixtral,
        "phi3": _is_phi3,
        "qwen2_moe": qwen2_moe.is_qwen2_moe,
    }
)
"""Families that compute what no other does, and whether a config says just that."""


def read_attention(family: Family, document: Document) -> dict[str, Any]:
    """Return the fields of ``Attention`` that a family and its keys ask for.

    Raises:
        ConfigError: a key is missing, or of a value that is not understood.
    """
    for key in family.demanded:
        json_values.get(document, key)
    return {**family.features, **family.read(document)}
