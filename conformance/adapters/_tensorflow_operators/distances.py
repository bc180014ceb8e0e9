"""Losses that compare two tensors, in float32 at least, as training code does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf, wide

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _mean_squared_error(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    predictions, targets = wide(inputs["predictions"]), wide(inputs["targets"])
    mean = tf().reduce_mean(tf().math.squared_difference(predictions, targets))
    return {"output": tf().cast(mean, inputs["targets"].dtype)}


def _kl_divergence(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    log_p, log_q = (tf().nn.log_softmax(wide(inputs[name])) for name in ("p_scores", "q_scores"))
    p = tf().exp(log_p)
    # What p gives no chance adds nothing: its logarithm is minus infinity, and so may q's be.
    terms = tf().where(p == 0, tf().zeros_like(p), p * (log_p - log_q))
    mean = tf().reduce_mean(tf().reduce_sum(terms, axis=-1))
    return {"output": tf().cast(mean, inputs["p_scores"].dtype)}


OPERATORS: dict[str, Any] = {
    "MeanSquaredError": (_mean_squared_error, {}),
    "KLDivergence": (_kl_divergence, {}),
}
