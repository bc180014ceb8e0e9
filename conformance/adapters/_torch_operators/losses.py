"""Losses that are taken of scores and labels, in float32 at least.

As training code does (Transformers, ``loss_function(logits.float(), ...)``): torch's kernel on the
CPU adds up the rows' losses in the type of the scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _wide(x: Any) -> Any:
    return x.float() if x.element_size() < 4 else x  # bytes of a float32


def _loss(inputs: Tensors, attributes: Attributes, **options: Any) -> Any:
    ignored = attributes["ignore_index"]
    return functional().cross_entropy(
        _wide(inputs["scores"]),
        inputs["labels"].long(),
        # torch always ignores some label; this one is none that could occur.
        ignore_index=np.iinfo(np.int64).min if ignored is None else ignored,
        **options,
    )


def _cross_entropy(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    weights, dtype = inputs.get("weights"), inputs["scores"].dtype
    weights = None if weights is None else _wide(weights)
    loss = _loss(inputs, attributes, weight=weights, reduction=attributes["reduction"])
    log_prob = functional().log_softmax(inputs["scores"], 1)
    return {"output": loss.to(dtype), "log_prob": log_prob}


def _label_smoothed(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    loss = _loss(inputs, attributes, label_smoothing=attributes["smoothing"])
    return {"output": loss.to(inputs["scores"].dtype)}


def _perplexity(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"output": _loss(inputs, attributes).exp().to(inputs["scores"].dtype)}


OPERATORS = {
    "SoftmaxCrossEntropyLoss": (_cross_entropy, {"ignore_index": None, "reduction": "mean"}),
    "LabelSmoothedCrossEntropy": (_label_smoothed, {"ignore_index": None, "smoothing": 0.0}),
    "Perplexity": (_perplexity, {"ignore_index": None}),
}
