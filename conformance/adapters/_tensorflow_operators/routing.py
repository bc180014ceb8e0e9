"""The router of a mixture of experts. N tokens, E experts, C chosen ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _router(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    logits_NE = inputs["logits"]
    first = attributes["order"] == "softmax-then-topk"
    shares_NE = tf().nn.softmax(logits_NE) if first else logits_NE
    # Of equal scores top_k promises the lower index first.
    _, chosen_NC = tf().math.top_k(shares_NE + inputs["selection_bias"], attributes["top_k"])
    weights_NC = tf().gather(shares_NE, chosen_NC, batch_dims=1)
    if not first:
        weights_NC = tf().nn.softmax(weights_NC)
    if attributes["renormalise"]:
        weights_NC = weights_NC / tf().reduce_sum(weights_NC, axis=-1, keepdims=True)
    indices = tf().cast(chosen_NC, tf().int64)
    return {"weights": weights_NC * attributes["scale"], "indices": indices}


OPERATORS = {
    "MoERouter": (
        _router,
        {"top_k": 1, "order": "softmax-then-topk", "renormalise": 0, "scale": 1.0},
    ),
}
