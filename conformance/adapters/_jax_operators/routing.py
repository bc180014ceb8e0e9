"""The router of a mixture of experts. N tokens, E experts, C chosen ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import lax, nn, numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def _router(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    logits_NE = inputs["logits"]
    first = attributes["order"] == "softmax-then-topk"
    shares_NE = nn().softmax(logits_NE) if first else logits_NE
    scores_NE = shares_NE + inputs["selection_bias"]
    _, chosen_NC = lax().top_k(scores_NE, attributes["top_k"])  # of equals, the lower index first
    weights_NC = numpy().take_along_axis(shares_NE, chosen_NC, axis=-1)
    if not first:
        weights_NC = nn().softmax(weights_NC)
    if attributes["renormalise"]:
        weights_NC = weights_NC / weights_NC.sum(-1, keepdims=True)
    return {"weights": weights_NC * attributes["scale"], "indices": chosen_NC}


OPERATORS = {
    "MoERouter": (
        _router,
        {"top_k": 1, "order": "softmax-then-topk", "renormalise": 0, "scale": 1.0},
    ),
}
