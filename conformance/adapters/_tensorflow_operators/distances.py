"""Losses that compare two tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._tensorflow import tf

if TYPE_CHECKING:
    from conformance.adapters._tensorflow_operators import Attributes, Tensors


def _mean_squared_error(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    squares = tf().math.squared_difference(inputs["predictions"], inputs["targets"])
    return {"output": tf().reduce_mean(squares)}


def _kl_divergence(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    log_p, log_q = (tf().nn.log_softmax(inputs[name]) for name in ("p_scores", "q_scores"))
    p = tf().exp(log_p)
    # What p gives no chance adds nothing: its logarithm is minus infinity, and so may q's be.
    terms = tf().where(p == 0, tf().zeros_like(p), p * (log_p - log_q))
    return {"output": tf().reduce_mean(tf().reduce_sum(terms, axis=-1))}


OPERATORS: dict[str, Any] = {
    "MeanSquaredError": (_mean_squared_error, {}),
    "KLDivergence": (_kl_divergence, {}),
}
