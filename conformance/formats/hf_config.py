"""config.json of Hugging Face: the rules across its keys. What it computes is not decided here.

Readers differ in which of two conflicting keys they take, and fall back silently where a key is
missing: transformers 5 renamed ``rope_scaling`` to ``rope_parameters`` and moved ``rope_theta``
into it, and a reader that does not know this computes with base 10000 and no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import schema
from conformance.errors import FormatError
from conformance.formats import _bloom_config as bloom_config
from conformance.formats import _gpt2_config as gpt2_config
from conformance.formats._hf_experts import check_experts
from conformance.formats._hf_rope import SLIDES, agree, check_rope

if TYPE_CHECKING:
    from collections.abc import Mapping

READ = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "rms_norm_eps",
    "tie_word_embeddings",
    "max_position_embeddings",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "dtype",
    "torch_dtype",
)
"""The keys that say what is computed; all others have to leave it as it is."""
_WINDOWS = ("use_sliding_window", "sliding_window", "max_window_layers", "layer_types")
_FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "llama": ("LlamaForCausalLM", ()),
    "mistral": ("MistralForCausalLM", ("sliding_window",)),
    "mixtral": (
        "MixtralForCausalLM",
        (
            *("sliding_window", "num_local_experts", "num_experts_per_tok"),
            *("output_router_logits", "router_aux_loss_coef", "router_jitter_noise"),
        ),
    ),
    "gpt_oss": (
        "GptOssForCausalLM",
        (
            *("sliding_window", "layer_types", "num_local_experts", "num_experts_per_tok"),
            *("experts_per_token", "initial_context_length", "swiglu_limit", "swiglu_alpha"),
            *("output_router_logits", "router_aux_loss_coef"),
        ),
    ),
    "qwen2": ("Qwen2ForCausalLM", _WINDOWS),
    "qwen2_moe": (
        "Qwen2MoeForCausalLM",
        (
            *_WINDOWS,
            *("num_experts", "num_experts_per_tok", "norm_topk_prob", "moe_intermediate_size"),
            *("shared_expert_intermediate_size", "decoder_sparse_step", "mlp_only_layers"),
            *("qkv_bias", "output_router_logits", "router_aux_loss_coef"),
        ),
    ),
    "qwen3": ("Qwen3ForCausalLM", _WINDOWS),
    "phi3": (
        "Phi3ForCausalLM",
        (
            "sliding_window",
            "original_max_position_embeddings",
            "embd_pdrop",
            "resid_pdrop",
        ),
    ),
    "glm4": ("Glm4ForCausalLM", ()),
    "gemma2": (
        "Gemma2ForCausalLM",
        (
            "sliding_window",
            "layer_types",
            "hidden_activation",
            "query_pre_attn_scalar",
            "attn_logit_softcapping",
            "final_logit_softcapping",
            "use_bidirectional_attention",
            "cache_implementation",
        ),
    ),
    "gemma3_text": (
        "Gemma3ForCausalLM",
        (
            "sliding_window",
            "layer_types",
            "sliding_window_pattern",
            "_sliding_window_pattern",
            "rope_local_base_freq",
            "hidden_activation",
            "query_pre_attn_scalar",
            "attn_logit_softcapping",
            "final_logit_softcapping",
            "use_bidirectional_attention",
            "cache_implementation",
        ),
    ),
}
"""By type of model: its class, and the keys that it has beside a Llama's."""
_OWN_KEYS = tuple(dict.fromkeys(key for _, keys in _FAMILIES.values() for key in keys))
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "llama": ("hidden_act",),
    "mistral": ("hidden_act", "sliding_window"),
    "mixtral": ("hidden_act", "sliding_window", "num_local_experts", "num_experts_per_tok"),
    "gpt_oss": (
        *("hidden_act", "head_dim", "sliding_window", "swiglu_limit"),
        *("num_local_experts", "num_experts_per_tok"),
    ),
    "phi3": ("hidden_act",),
    "glm4": ("hidden_act", "attention_bias", "head_dim"),
    "qwen2": ("hidden_act", "use_sliding_window"),
    "qwen2_moe": (
        *("hidden_act", "num_experts", "num_experts_per_tok", "norm_topk_prob"),
        *("moe_intermediate_size", "shared_expert_intermediate_size", "decoder_sparse_step"),
        "use_sliding_window",
    ),
    "qwen3": ("hidden_act", "use_sliding_window", "head_dim"),
    "gemma2": (
        "hidden_activation",
        "query_pre_attn_scalar",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "sliding_window",
        "head_dim",
    ),
    "gemma3_text": (
        "hidden_activation",
        "query_pre_attn_scalar",
        "sliding_window",
        "head_dim",
    ),
}
"""By type of model: keys for which readers would assume a value of their own."""
_NULL_IS_NONE: Mapping[str, tuple[str, ...]] = {
    "mistral": ("sliding_window",),
    "mixtral": ("sliding_window",),
    "gpt_oss": ("sliding_window",),
    "gemma2": ("attn_logit_softcapping", "final_logit_softcapping"),
}
"""By type of model: needed keys that may be null, which then means that there is none."""
_OWN = {one.MODEL_TYPE: one for one in (gpt2_config, bloom_config)}
"""Families whose keys have names of their own, and the modules that know them."""
_GEMMAS = ("gemma2", "gemma3_text")
_BIASED = ("qwen2", "qwen2_moe", "gpt_oss")
"""Types of models whose attention has biases by their name."""
_GELU = "gelu_pytorch_tanh"


def check(document: Any) -> None:
    """Check the content of a config.json: layers L2 and L3.

    Raises:
        FormatError: the document is refused.
    """
    schema.validate("hf-config", document)
    if document["model_type"] in _OWN:
        _check_own(document)
        check_types(document)
        check_token_ids(document)
        return
    _check_family(document)
    _check_windows(document)
    check_experts(document)
    _check_heads(document)
    check_rope(document, head_dim(document))
    check_types(document)
    check_token_ids(document)


def _check_own(document: Mapping[str, Any]) -> None:
    kind = document["model_type"]
    for other, module in _OWN.items():
        for key in module.OWN_KEYS if other != kind else ():
            if key in document and key not in _OWN[kind].OWN_KEYS:
                detail = f"is a key of model_type {other!r}, and none of {kind!r}: remove it"
                raise FormatError("L3-FAMILY-KEY", detail, f"/{key}")
    _OWN[kind].check(document)


def unknown_family(document: Any) -> str:
    """Return what to say of another architecture as a whole: its keys, one by one, say nothing."""
    kind = document.get("model_type") if isinstance(document, dict) else None
    known = (*_FAMILIES, *_OWN)
    if not isinstance(kind, str) or kind in known:
        return ""
    return (
        f"model_type is {kind!r}; the suite evaluates decoders of the Llama family, GPT-2 and "
        f"BLOOM, so far (model_type {', '.join(map(repr, known))}). It reads {', '.join(READ)}, "
        "and takes any other key only with a value that changes nothing. Save a model that "
        "computes the same function as a Llama; or leave out --model, and the runtime is judged on "
        "models of the suite's own"
    )


def quantised(document: Any) -> str:
    """Return what to say of weights that are no numbers of a float type, as releases have them."""
    told = document.get("quantization_config") if isinstance(document, dict) else None
    if told is None:
        return ""
    method = told.get("quant_method") if isinstance(told, dict) else told
    return (
        f"quantization_config says {method!r}, and quantised weights are not read. Dequantise them "
        "(for gpt-oss by transformers' Mxfp4Config(dequantize=True)), save the model in bfloat16, "
        "and leave the key out"
    )


def sizes(document: Mapping[str, Any]) -> dict[str, int]:
    """Return a model's sizes by the keys that most families have for them."""
    if document["model_type"] in _OWN:
        found: dict[str, int] = _OWN[document["model_type"]].sizes(document)
        return found
    return {key: document[key] for key in gpt2_config.KEYS}


def is_tied(document: Mapping[str, Any]) -> bool:
    """Return whether the embedding is the head; of some that say nothing, it is."""
    kinds = (*_GEMMAS, *_OWN)
    tied: bool = document.get("tie_word_embeddings", document["model_type"] in kinds)
    return tied


def window_of(document: Mapping[str, Any], layer: int) -> int | None:
    """Return how many keys a query of a layer sees, itself among them; None for all."""
    window: int | None = document.get("sliding_window")
    kind, kinds = document["model_type"], document.get("layer_types")
    if document.get("use_sliding_window") is False:
        return None
    if kinds is not None:
        return window if kinds[layer] == SLIDES else None
    if kind in ("qwen2", "qwen3"):
        return window if layer >= document["max_window_layers"] else None
    every = document["sliding_window_pattern"] if kind == "gemma3_text" else 2
    return window if kind not in (*_GEMMAS, "gpt_oss") or (layer + 1) % every else None


def _check_family(document: Mapping[str, Any]) -> None:
    kind = document["model_type"]
    architecture, keys = _FAMILIES[kind]
    if document.get("architectures") not in (None, [], [architecture]):
        detail = f"is not {architecture}, which model_type {kind!r} has"
        raise FormatError("L3-ARCHITECTURE", detail, "/architectures/0")
    for key in (*_OWN_KEYS, *gpt2_config.OWN_KEYS, *bloom_config.OWN_KEYS):
        if key in document and key not in keys:
            detail = f"is no key of model_type {kind!r}; readers ignore it, or do not: remove it"
            raise FormatError("L3-FAMILY-KEY", detail, f"/{key}")
    if kind in _BIASED and document.get("attention_bias") is False:
        detail = f"is false, but a {kind} has the biases of its attention whatever is written here"
        raise FormatError("L3-ATTENTION-BIAS", detail, "/attention_bias")
    for key in _NEEDED[kind]:
        may_be_null = key in document and key in _NULL_IS_NONE.get(kind, ())
        if document.get(key) is None and not may_be_null:
            detail = f"has no {key}, without which readers of a {kind} assume a value"
            raise FormatError("L3-KEY-MISSING", detail)
    if kind not in _GEMMAS and document.get("tie_word_embeddings") is None:
        detail = "has no tie_word_embeddings, which of a Gemma alone is true where it is absent"
        raise FormatError("L3-KEY-MISSING", detail)
    if kind == "gemma3_text" and document.get("attn_logit_softcapping") is not None:
        detail = "is a number, but a Gemma 3 does not cap its scores: readers ignore it, or do not"
        raise FormatError("L3-FAMILY-KEY", detail, "/attn_logit_softcapping")
    if kind in _GEMMAS and document.get("hidden_act", _GELU) != _GELU:
        detail = f"is no {_GELU}, which hidden_activation is"
        raise FormatError("L3-ACTIVATION", detail, "/hidden_act")


def _check_windows(document: Mapping[str, Any]) -> None:
    """Demand that which layers have which window is written; ``layer_types`` counts where it is."""
    kinds, used = document.get("layer_types"), document.get("use_sliding_window")
    _check_kinds(kinds, document["num_hidden_layers"], slides=used is not False)
    kind = document["model_type"]
    if kind != "qwen2_moe" and document.get("sliding_window") == 0:
        detail = "is 0, and a query sees at least itself; where there is no window it is null"
        raise FormatError("L3-WINDOW-EMPTY", detail, "/sliding_window")
    if kind in _GEMMAS and kinds is not None and SLIDES not in kinds:
        detail = f"names no layer {SLIDES}; a {kind} is understood with some"
        raise FormatError("L3-LAYER-TYPES", detail, "/layer_types")
    if kind == "gemma3_text" and kinds is None:
        _check_pattern(document.get("sliding_window_pattern"))
    if kind == "gpt_oss" and SLIDES in (kinds or [SLIDES]) and document["sliding_window"] is None:
        detail = f"has layers of {SLIDES}, and sliding_window is null"
        raise FormatError("L3-WINDOW-MISSING", detail)
    limits = "layer_types" if kinds is not None else "max_window_layers"
    lacking = [key for key in ("sliding_window", limits) if document.get(key) is None]
    if used and lacking:
        detail = f"uses a window, and has no {lacking[0]}; readers would assume a value"
        raise FormatError("L3-WINDOW-MISSING", detail)


def _check_pattern(pattern: int | None) -> None:
    if pattern is None:
        detail = "has neither layer_types nor sliding_window_pattern; readers would assume 6"
        raise FormatError("L3-WINDOW-MISSING", detail)
    if pattern == 1:
        detail = f"is 1, so that no layer is {SLIDES}; a gemma3_text is understood with some"
        raise FormatError("L3-LAYER-TYPES", detail, "/sliding_window_pattern")


def _check_kinds(kinds: list[str] | None, layers: int, *, slides: bool) -> None:
    if kinds is None:
        return
    if len(kinds) != layers:
        detail = f"names {len(kinds)} layers of {layers}"
        raise FormatError("L3-LAYER-TYPES", detail, "/layer_types")
    if SLIDES in kinds and not slides:
        detail = f"is {SLIDES}, but use_sliding_window is false"
        raise FormatError("L3-LAYER-TYPES", detail, f"/layer_types/{kinds.index(SLIDES)}")


def head_dim(document: Mapping[str, Any]) -> int:
    """Return the width of one attention head; absent, it is hidden_size / num_attention_heads."""
    given: int | None = document.get("head_dim")
    share: int = document["hidden_size"] // document["num_attention_heads"]
    return share if given is None else given


def _check_heads(document: Mapping[str, Any]) -> None:
    hidden, heads = document["hidden_size"], document["num_attention_heads"]
    kv_heads = document["num_key_value_heads"]
    if hidden % heads:
        detail = (
            f"is {heads}, which does not divide hidden_size {hidden}; transformers 5 refuses it"
        )
        raise FormatError("L3-HEADS", detail, "/num_attention_heads")
    if heads % kv_heads:
        detail = f"is {kv_heads}, which does not divide num_attention_heads {heads}"
        raise FormatError("L3-KV-HEADS", detail, "/num_key_value_heads")
    if head_dim(document) % 2:
        place = "/head_dim" if document.get("head_dim") is not None else "/hidden_size"
        detail = f"makes heads {head_dim(document)} wide; rotary embedding turns pairs: use an even"
        raise FormatError("L3-HEAD-DIM", f"{detail} width", place)


def check_types(document: Mapping[str, Any]) -> None:
    """Demand that the two spellings of the weights' type agree."""
    keys = ("dtype", "torch_dtype")
    given = {f"/{key}": document[key] for key in keys if document.get(key) is not None}
    agree(given, "L3-DTYPE-CONFLICT")


_TOKENS = (
    *("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id"),
    "decoder_start_token_id",
)


def check_token_ids(document: Mapping[str, Any]) -> None:
    """Demand that named tokens are in the vocabulary."""
    size = document["vocab_size"]
    for key in _TOKENS:
        value = document.get(key)
        listed = isinstance(value, list)
        for i, token in enumerate(value if listed else [value]):  # type: ignore[arg-type]
            if token is not None and token >= size:
                detail = f"is {token}; the vocabulary ends at {size - 1}"
                raise FormatError("L3-TOKEN-ID", detail, f"/{key}/{i}" if listed else f"/{key}")
