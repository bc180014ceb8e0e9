"""config.json of a BLOOM, whose keys have names of their own: the rules across them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.errors import FormatError
from conformance.formats._hf_rope import agree

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL_TYPE = "bloom"
_ARCHITECTURE = "BloomForCausalLM"
_NAMES = {
    "hidden_size": ("hidden_size", "n_embed"),
    "num_hidden_layers": ("n_layer", "num_hidden_layers"),
    "num_attention_heads": ("n_head", "num_attention_heads"),
}
"""Sizes by the names that most families have, and BLOOM's: transformers', and its releases'."""
OWN_KEYS = (
    *("n_embed", "seq_length", "apply_residual_connection_post_layernorm", "hidden_dropout"),
    *("slow_but_exact", "attention_softmax_in_fp32", "bias_dropout_fusion", "offset_alibi"),
    *("masked_softmax_fusion", "skip_bias_add", "skip_bias_add_qkv", "unk_token_id"),
    *("n_layer", "n_head", "n_inner", "layer_norm_epsilon"),
)
"""Keys that no other family has, but for the last four, which are a GPT-2's, too."""
_OF_OTHERS = (
    *("n_embd", "n_positions", "activation_function", "intermediate_size", "hidden_act"),
    *("num_key_value_heads", "head_dim", "hidden_activation", "rms_norm_eps"),
    *("rope_theta", "rope_scaling", "rope_parameters", "attention_bias", "mlp_bias"),
    *("sliding_window", "layer_types", "use_sliding_window", "max_window_layers"),
    "max_position_embeddings",
)
"""Keys that it has not: readers that map names take them for its own, and others ignore them."""


def sizes(document: Mapping[str, Any]) -> dict[str, int]:
    """Return a BLOOM's sizes by the names that most families have for them.

    It has no last position; the releases were trained on 2048.
    """
    found = {
        key: next(document[name] for name in names if name in document)
        for key, names in _NAMES.items()
    }
    return {
        "vocab_size": document["vocab_size"],
        "max_position_embeddings": document.get("seq_length", 2048),
        **found,
        "intermediate_size": 4 * found["hidden_size"],
    }


def check(document: Mapping[str, Any]) -> None:
    """Check a BLOOM's config.json across its keys.

    Raises:
        FormatError: the document is refused.
    """
    if document.get("architectures") not in (None, [], [_ARCHITECTURE]):
        detail = f"is not {_ARCHITECTURE}, which model_type {MODEL_TYPE!r} has"
        raise FormatError("L3-ARCHITECTURE", detail, "/architectures/0")
    for key in _OF_OTHERS:
        if key in document:
            detail = f"is no key of model_type {MODEL_TYPE!r}; readers ignore it, or do not: remove"
            raise FormatError("L3-FAMILY-KEY", f"{detail} it", f"/{key}")
    for names in _NAMES.values():
        given = {f"/{name}": document[name] for name in names if name in document}
        if not given:
            raise FormatError("L3-KEY-MISSING", f"has neither {' nor '.join(names)}")
        agree(given, "L3-SIZES")
    if document.get("tie_word_embeddings") is False:
        detail = "is false, but the head of a BLOOM is its embedding"
        raise FormatError("L3-TIED", detail, "/tie_word_embeddings")
    found = sizes(document)
    width, heads = found["hidden_size"], found["num_attention_heads"]
    if width % heads:
        detail = f"is {heads}, which does not divide hidden_size {width}"
        place = next(name for name in _NAMES["num_attention_heads"] if name in document)
        raise FormatError("L3-HEADS", detail, f"/{place}")
