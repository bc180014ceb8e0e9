"""config.json of an encoder of BERT's shape: the rules across its keys."""

from __future__ import annotations

from typing import Any

from conformance import schema
from conformance.errors import FormatError
from conformance.formats.hf_config import check_token_ids, check_types

MODEL_TYPE = "bert"


def check(document: Any) -> None:
    """Check the content of a config.json: layers L2 and L3.

    Raises:
        FormatError: the document is refused.
    """
    schema.validate("bert-config", document)
    width, heads = document["hidden_size"], document["num_attention_heads"]
    if width % heads:
        detail = f"is {heads}, which does not divide hidden_size {width}"
        raise FormatError("L3-HEADS", detail, "/num_attention_heads")
    check_types(document)
    check_token_ids(document)


def is_encoder(document: Any) -> bool:
    """Return whether a config.json is that of an encoder, whatever else is wrong with it."""
    return isinstance(document, dict) and document.get("model_type") == MODEL_TYPE
