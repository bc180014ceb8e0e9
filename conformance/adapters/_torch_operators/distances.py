"""Losses that compare two tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _mean_squared_error(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"output": functional().mse_loss(inputs["predictions"], inputs["targets"])}


def _kl_divergence(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    log_p, log_q = (functional().log_softmax(inputs[name], -1) for name in ("p_scores", "q_scores"))
    terms = functional().kl_div(log_q, log_p, reduction="none", log_target=True)
    # torch answers NaN where both probabilities are 0.
    return {"output": terms.masked_fill(log_p.isneginf(), 0).sum(-1).mean()}


OPERATORS: dict[str, Any] = {
    "MeanSquaredError": (_mean_squared_error, {}),
    "KLDivergence": (_kl_divergence, {}),
}
