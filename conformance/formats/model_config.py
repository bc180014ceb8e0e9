"""The suite's own record of a decoder: the rules across its fields."""

from __future__ import annotations

from typing import Any

from conformance import schema
from conformance.errors import FormatError


def check(document: Any) -> None:
    """Check a record: layers L2 and L3.

    Raises:
        FormatError: the document is refused.
    """
    schema.validate("model-config", document)
    attention, experts = document["attention"], document["mlp"].get("experts")
    heads, shared = attention["heads"], attention["kv_heads"]
    if heads % shared:
        detail = f"is {shared}, which does not divide {heads} heads"
        raise FormatError("L3-KV-HEADS", detail, "/attention/kv_heads")
    if experts is not None and experts["chosen"] > experts["count"]:
        detail = f"is {experts['chosen']}, and there are {experts['count']}"
        raise FormatError("L3-EXPERTS", detail, "/mlp/experts/chosen")
    ways = (document["rope"], document.get("learned_positions"), attention.get("alibi"))
    if sum(bool(way) for way in ways) != 1:
        detail = "has to say one of three: rope, learned_positions, or attention/alibi"
        raise FormatError("L3-POSITIONS", detail)
    if attention.get("full_layers") and attention.get("window") is None:
        detail = "names layers that see everything in spite of a window, and there is none"
        raise FormatError("L3-WINDOW-MISSING", detail, "/attention/full_layers")
