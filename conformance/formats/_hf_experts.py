"""What a config.json says of experts: the rules across its keys, and which layers have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.errors import FormatError
from conformance.formats._hf_rope import SLIDES

if TYPE_CHECKING:
    from collections.abc import Mapping


def has_experts(document: Mapping[str, Any], layer: int) -> bool:
    """Return whether a layer's feed-forward is several, of which a token passes some."""
    if document["model_type"] != "qwen2_moe":
        return document["model_type"] in ("mixtral", "gpt_oss")
    named = document.get("mlp_only_layers") or ()
    return layer not in named and (layer + 1) % document["decoder_sparse_step"] == 0


def check_experts(document: Mapping[str, Any]) -> None:
    """Demand that no more experts are chosen than there are, and that some layer has them.

    Raises:
        FormatError: it is otherwise, or keys that repeat each other differ.
    """
    chosen, key = document.get("num_experts_per_tok"), "num_local_experts"
    key = "num_experts" if document["model_type"] == "qwen2_moe" else key
    count = document.get(key)
    if chosen is not None and count is not None and chosen > count:
        detail = f"is {chosen}, and there are {count} {key}"
        raise FormatError("L3-EXPERTS", detail, "/num_experts_per_tok")
    told = document.get("experts_per_token", chosen)
    if told != chosen:
        detail = f"is {told}, and num_experts_per_tok is {chosen}; readers take one or the other"
        raise FormatError("L3-EXPERTS", detail, "/experts_per_token")
    _check_original_length(document)
    if document["model_type"] == "qwen2_moe":
        _check_layers(document)


def _check_layers(document: Mapping[str, Any]) -> None:
    layers = document["num_hidden_layers"]
    for i, named in enumerate(document.get("mlp_only_layers") or ()):
        if named >= layers:
            detail = f"is {named}; the last layer is {layers - 1}"
            raise FormatError("L3-LAYER-NUMBER", detail, f"/mlp_only_layers/{i}")
    if not any(has_experts(document, layer) for layer in range(layers)):
        detail = "has no layer with experts: readers of a qwen2 take it"
        raise FormatError("L3-EXPERTS", detail)
    if document.get("use_sliding_window") or SLIDES in (document.get("layer_types") or ()):
        detail = "is a qwen2_moe with a window; readers do not agree on which layers have it"
        raise FormatError("L3-LAYER-TYPES", detail)


def _check_original_length(document: Mapping[str, Any]) -> None:
    length = document.get("initial_context_length")
    for place in ("rope_scaling", "rope_parameters"):
        other = (document.get(place) or {}).get("original_max_position_embeddings", length)
        if length is not None and other != length:
            detail = f"is {length}, and {place} has {other}; readers take one or the other"
            raise FormatError("L3-ROPE-CONFLICT", detail, "/initial_context_length")
