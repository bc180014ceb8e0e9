"""Losses of scores and labels, in float32, as training code in JAX composes them.

JAX has no loss of its own; libraries above it (Optax, MaxText) take the label's log-softmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import nn, numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def _counted(labels: Any, attributes: Attributes) -> Any:
    ignored = attributes["ignore_index"]
    return numpy().full(labels.shape, True) if ignored is None else labels != ignored  # noqa: FBT003  # what an array is filled with


def _token_losses(inputs: Arrays, attributes: Attributes) -> tuple[Any, Any, Any]:
    """Return each label's loss, its weight (both 0 where it is ignored), and all log-softmaxes."""
    jnp, labels = numpy(), inputs["labels"]
    log_p = nn().log_softmax(inputs["scores"].astype(jnp.float32), axis=1)
    counted = _counted(labels, attributes)
    label = jnp.where(counted, labels, 0)
    picked = jnp.take_along_axis(log_p, jnp.expand_dims(label, 1), axis=1).squeeze(1)
    weight = counted.astype(jnp.float32)
    if "weights" in inputs:
        weight = weight * inputs["weights"].astype(jnp.float32)[label]
    return jnp.where(counted, -picked * weight, 0), weight, log_p


def _cross_entropy(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    dtype, reduction = inputs["scores"].dtype, attributes["reduction"]
    loss, weight, log_p = _token_losses(inputs, attributes)
    if reduction != "none":
        loss = loss.sum()
    if reduction == "mean":
        loss = loss / weight.sum()
    return {"output": loss.astype(dtype), "log_prob": log_p.astype(dtype)}


def _label_smoothed(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    share = attributes["smoothing"]
    loss_N, weight_N, log_p_NC = _token_losses(inputs, attributes)
    smooth_N = -log_p_NC.mean(axis=1) * weight_N
    loss = ((1 - share) * loss_N + share * smooth_N).sum() / weight_N.sum()
    return {"output": loss.astype(inputs["scores"].dtype)}


def _perplexity(inputs: Arrays, attributes: Attributes) -> dict[str, Any]:
    loss_N, weight_N, _ = _token_losses(inputs, attributes)
    perplexity = numpy().exp(loss_N.sum() / weight_N.sum())
    return {"output": perplexity.astype(inputs["scores"].dtype)}


OPERATORS = {
    "SoftmaxCrossEntropyLoss": (_cross_entropy, {"ignore_index": None, "reduction": "mean"}),
    "LabelSmoothedCrossEntropy": (_label_smoothed, {"ignore_index": None, "smoothing": 0.0}),
    "Perplexity": (_perplexity, {"ignore_index": None}),
}
