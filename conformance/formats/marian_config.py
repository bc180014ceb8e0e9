"""config.json of an original Transformer, as Marian's models have it: the rules across its keys."""

from __future__ import annotations

from typing import Any

from conformance import schema
from conformance.errors import FormatError
from conformance.formats.hf_config import check_token_ids, check_types

MODEL_TYPE = "marian"
_REPEATED = {"decoder_vocab_size": "vocab_size", "num_hidden_layers": "encoder_layers"}
"""Keys that say once more what another says."""


def check(document: Any) -> None:
    """Check the content of a config.json: layers L2 and L3.

    Raises:
        FormatError: the document is refused.
    """
    schema.validate("marian-config", document)
    width = document["d_model"]
    for key in ("encoder_attention_heads", "decoder_attention_heads"):
        if width % document[key]:
            detail = f"is {document[key]}, which does not divide d_model {width}"
            raise FormatError("L3-HEADS", detail, f"/{key}")
    for key, other in _REPEATED.items():
        if document.get(key) not in (None, document[other]):
            detail = f"is {document[key]}, and {other} {document[other]}: they have to be equal"
            raise FormatError("L3-REPEATED", detail, f"/{key}")
    check_types(document)
    check_token_ids(document)
