"""The router of a mixture of experts, as an exporter writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Attributes = Mapping[str, Any]

_SHARES_OF_ALL = """
        shares = Softmax <axis = -1> (logits)
        scores = Add (shares, selection_bias)
        best, indices = TopK <axis = -1> (scores, count)
        chosen = GatherElements <axis = 1> (shares, indices)
    """
_SHARES_OF_THE_CHOSEN = """
        scores = Add (logits, selection_bias)
        best, indices = TopK <axis = -1> (scores, count)
        chosen_logits = GatherElements <axis = 1> (logits, indices)
        chosen = Softmax <axis = -1> (chosen_logits)
    """
_RENORMALISED = """
        last = Constant <value_ints = [-1]> ()
        total = ReduceSum <keepdims = 1> (chosen, last)
        kept = Div (chosen, total)
    """
_AS_THEY_ARE = """
        kept = Identity (chosen)
    """


def _router(attributes: Attributes) -> str:
    all_first = attributes.get("order", "softmax-then-topk") == "softmax-then-topk"
    return f"""
        count = Constant <value_ints = [{attributes.get("top_k", 1)}]> ()
        {_SHARES_OF_ALL if all_first else _SHARES_OF_THE_CHOSEN}
        {_RENORMALISED if attributes.get("renormalise") else _AS_THEY_ARE}
        scale_wide = Constant <value_float = {float(attributes.get("scale", 1.0))!r}> ()
        scale = CastLike (scale_wide, logits)
        weights = Mul (kept, scale)
    """


FUNCTIONS = {"MoERouter": _router}
