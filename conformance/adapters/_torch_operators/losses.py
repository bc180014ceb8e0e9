"""Losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _cross_entropy(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    scores, ignored = inputs["scores"], attributes["ignore_index"]
    loss = functional().cross_entropy(
        scores,
        inputs["labels"].long(),
        weight=inputs.get("weights"),
        # torch always ignores some label; this one is none that could occur.
        ignore_index=np.iinfo(np.int64).min if ignored is None else ignored,
        reduction=attributes["reduction"],
    )
    return {"output": loss, "log_prob": functional().log_softmax(scores, 1)}


OPERATORS = {
    "SoftmaxCrossEntropyLoss": (_cross_entropy, {"ignore_index": None, "reduction": "mean"}),
}
