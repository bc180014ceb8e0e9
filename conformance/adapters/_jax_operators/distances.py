"""Losses that compare two tensors, in float32 as the other losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._jax import nn, numpy

if TYPE_CHECKING:
    from conformance.adapters._jax_operators import Arrays, Attributes


def _mean_squared_error(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    jnp = numpy()
    predictions, targets = (inputs[n].astype(jnp.float32) for n in ("predictions", "targets"))
    loss = jnp.mean(jnp.square(predictions - targets))
    return {"output": loss.astype(inputs["targets"].dtype)}


def _kl_divergence(inputs: Arrays, _: Attributes) -> dict[str, Any]:
    jnp = numpy()
    scores = (inputs[name].astype(jnp.float32) for name in ("p_scores", "q_scores"))
    log_p, log_q = (nn().log_softmax(s) for s in scores)
    # Where a class has no share in either, the difference of its logarithms is NaN.
    terms = jnp.where(jnp.isneginf(log_p), 0, jnp.exp(log_p) * (log_p - log_q))
    return {"output": terms.sum(-1).mean().astype(inputs["p_scores"].dtype)}


OPERATORS: dict[str, Any] = {
    "MeanSquaredError": (_mean_squared_error, {}),
    "KLDivergence": (_kl_divergence, {}),
}
