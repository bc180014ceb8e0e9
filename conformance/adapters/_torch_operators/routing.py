"""The router of a mixture of experts. N tokens, E experts, C chosen ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _router(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    logits_NE, softmax = inputs["logits"], functional().softmax
    first = attributes["order"] == "softmax-then-topk"
    shares_NE = softmax(logits_NE, -1) if first else logits_NE
    # torch.topk promises no order among equals; a stable sort does.
    scores_NE = shares_NE + inputs["selection_bias"]
    order_NE = scores_NE.sort(dim=-1, descending=True, stable=True).indices
    chosen_NC = order_NE[:, : attributes["top_k"]]
    weights_NC = shares_NE.gather(-1, chosen_NC)
    if not first:
        weights_NC = softmax(weights_NC, -1)
    if attributes["renormalise"]:
        weights_NC = weights_NC / weights_NC.sum(-1, keepdim=True)
    return {"weights": weights_NC * attributes["scale"], "indices": chosen_NC}


OPERATORS = {
    "MoERouter": (
        _router,
        {"top_k": 1, "order": "softmax-then-topk", "renormalise": 0, "scale": 1.0},
    ),
}
