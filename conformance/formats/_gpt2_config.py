"""config.json of a GPT-2, whose keys have names of their own: the rules across them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL_TYPE = "gpt2"
_ARCHITECTURE = "GPT2LMHeadModel"
KEYS: Mapping[str, str] = {
    "vocab_size": "vocab_size",
    "max_position_embeddings": "n_positions",
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
}
"""The keys of a model's sizes that most families have, and GPT-2's for them."""
OWN_KEYS = (
    *(own for key, own in KEYS.items() if own != key),
    *("activation_function", "layer_norm_epsilon", "scale_attn_weights"),
    *("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "n_ctx"),
    *("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    *("summary_type", "summary_use_proj", "summary_activation"),
    *("summary_proj_to_labels", "summary_first_dropout"),
)
"""Keys that no other family has."""
_OF_OTHERS = (
    *(key for key, own in KEYS.items() if own != key),
    *("num_key_value_heads", "head_dim", "hidden_act", "hidden_activation", "rms_norm_eps"),
    *("rope_theta", "rope_scaling", "rope_parameters", "attention_bias", "mlp_bias"),
    *("sliding_window", "layer_types", "use_sliding_window", "max_window_layers"),
)
"""Keys that it has not: readers that map names take them for its own, and others ignore them."""


def sizes(document: Mapping[str, Any]) -> dict[str, int]:
    """Return a GPT-2's sizes by the names that most families have for them."""
    found = {key: document.get(own) for key, own in KEYS.items()}
    hidden = found["intermediate_size"]
    four = 4 * int(document["n_embd"])
    return {**found, "intermediate_size": four if hidden is None else hidden}  # type: ignore[dict-item]


def check(document: Mapping[str, Any]) -> None:
    """Check a GPT-2's config.json across its keys.

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
    width, heads = document["n_embd"], document["n_head"]
    if width % heads:
        raise FormatError(
            "L3-HEADS", f"is {heads}, which does not divide n_embd {width}", "/n_head"
        )
