"""config.json of an encoder-decoder of T5's shape: the rules across its keys."""

from __future__ import annotations

from typing import Any

from conformance import schema
from conformance.errors import FormatError
from conformance.formats.hf_config import check_token_ids, check_types

MODEL_TYPE = "t5"
_ACTIVATIONS = {"relu": "relu", "gated-gelu": "gelu_new", "gated-silu": "silu"}


def check(document: Any) -> None:
    """Check the content of a config.json: layers L2 and L3.

    Raises:
        FormatError: the document is refused.
    """
    schema.validate("t5-config", document)
    _check_repeated(document)
    _check_head(document)
    rows = document["relative_attention_num_buckets"]
    farthest = document.get("relative_attention_max_distance", 128)
    if farthest <= rows // 2:
        detail = f"is {farthest}; {rows // 2} distances have buckets of their own already"
        pointer = "/relative_attention_max_distance"
        if "relative_attention_max_distance" not in document:
            pointer = "/relative_attention_num_buckets"
        raise FormatError("L3-BUCKETS", detail, pointer)
    check_types(document)
    check_token_ids(document)


def _check_repeated(document: Any) -> None:
    """Refuse what transformers derives from feed_forward_proj where it is written otherwise."""
    spelled = document.get("feed_forward_proj", "relu")
    made = {"dense_act_fn": _ACTIVATIONS[spelled], "is_gated_act": spelled.startswith("gated-")}
    for key, value in made.items():
        if document.get(key, value) != value:
            detail = f"is {document[key]!r}, and feed_forward_proj {spelled!r} makes it {value!r}"
            raise FormatError("L3-ACTIVATION", detail, f"/{key}")


def _check_head(document: Any) -> None:
    """Refuse a head of its own that is scaled: T5 scales what a tied one is given."""
    tied = document.get("tie_word_embeddings", True)
    if not tied and document.get("scale_decoder_outputs", False):
        detail = "is true, and tie_word_embeddings false: a head of its own is not scaled"
        raise FormatError("L3-HEAD-SCALE", detail, "/scale_decoder_outputs")


def is_tied(config: Any) -> bool:
    """Return whether the head is the embedding, of a config that was checked.

    Transformers 5 writes ``tie_word_embeddings`` true whatever it is, and what it was as
    ``scale_decoder_outputs``.
    """
    return bool(config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True)))
