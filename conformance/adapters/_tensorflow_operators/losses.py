"""Losses that are taken of scores and labels, in float32 at least, as training code does.

TensorFlow's kernel refuses labels outside the classes and has none that it ignores: callers put
another in their place and leave the row out of the mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf, wide

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _classes_last(scores: Any) -> Any:
    rank = scores.shape.rank
    return tf().transpose(scores, (0, *range(2, rank), 1)) if rank > 2 else scores


def _counted(inputs: Tensors, attributes: Attributes) -> tuple[Any, Any]:
    """Return which rows count, as booleans, and labels that are classes everywhere."""
    labels, ignored = inputs["labels"], attributes["ignore_index"]
    if ignored is None:
        return tf().ones_like(labels, tf().bool), labels
    counted = labels != ignored
    return counted, tf().where(counted, labels, tf().zeros_like(labels))


def _token_losses(inputs: Tensors, attributes: Attributes) -> tuple[Any, Any]:
    """Return each row's loss, weighted, and its weight; both 0 where it does not count."""
    scores = wide(_classes_last(inputs["scores"]))
    counted, labels = _counted(inputs, attributes)
    losses = tf().nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=scores)
    none = tf().zeros_like(losses)
    if "weights" not in inputs:
        return tf().where(counted, losses, none), tf().cast(counted, losses.dtype)
    weights = tf().gather(wide(inputs["weights"]), labels)
    return tf().where(counted, weights * losses, none), tf().where(counted, weights, none)


def _cross_entropy(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    losses, weights = _token_losses(inputs, attributes)
    if attributes["reduction"] != "none":
        losses = tf().reduce_sum(losses)
    if attributes["reduction"] == "mean":
        losses = losses / tf().reduce_sum(weights)
    dtype = inputs["scores"].dtype
    log_prob = tf().nn.log_softmax(inputs["scores"], 1)
    return {"output": tf().cast(losses, dtype), "log_prob": log_prob}


def _label_smoothed(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    scores, smoothing = wide(inputs["scores"]), attributes["smoothing"]
    counted, labels = _counted(inputs, attributes)
    classes = tf().shape(scores)[1]
    right_NC = tf().one_hot(labels, classes, dtype=scores.dtype)
    target_NC = (1 - smoothing) * right_NC + smoothing / tf().cast(classes, scores.dtype)
    losses = tf().nn.softmax_cross_entropy_with_logits(labels=target_NC, logits=scores)
    total = tf().reduce_sum(tf().where(counted, losses, tf().zeros_like(losses)))
    mean = total / tf().reduce_sum(tf().cast(counted, losses.dtype))
    return {"output": tf().cast(mean, inputs["scores"].dtype)}


def _perplexity(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    losses, weights = _token_losses(inputs, attributes)
    mean = tf().reduce_sum(losses) / tf().reduce_sum(weights)
    return {"output": tf().cast(tf().exp(mean), inputs["scores"].dtype)}


OPERATORS = {
    "SoftmaxCrossEntropyLoss": (_cross_entropy, {"ignore_index": None, "reduction": "mean"}),
    "LabelSmoothedCrossEntropy": (_label_smoothed, {"ignore_index": None, "smoothing": 0.0}),
    "Perplexity": (_perplexity, {"ignore_index": None}),
}
