"""Losses that compare two tensors. N rows, C classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.operators.softmax import (
    EXPONENT,
    depth_below_maximum,
    log_softmax,
    log_softmax_error,
    softmax,
    weights_error,
)
from conformance.oracles.row import Operator
from conformance.oracles.units import ELEMENTARY, Units, rounded, units
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]


def mean_squared_error(predictions: Array, targets: Array) -> Array:
    """Return the mean of (prediction - target)^2 over all elements."""
    difference = predictions - targets
    return np.asarray(np.mean(difference * difference))


def mean_squared_error_bound(predictions: Array, targets: Array, contract: Contract) -> Array:
    """Bound the mean of squares: 3 u_i each, the difference twice and the square; D(N) and 2 u.

    A square near zero loses at most the smallest number of the intermediate type.
    """
    u, value = units(contract), mean_squared_error(predictions, targets)
    error = value * (3 * u.i + u.sum(predictions.size) + 2 * u.a)
    return rounded(error + u.tiny_i, value, u)


def kl_divergence(p_scores_NC: Array, q_scores_NC: Array) -> Array:
    """Return the mean over rows of sum p (log p - log q), p and q the softmax of their scores.

    A class with p = 0 adds 0, whatever q is (Cover and Thomas, Elements of Information Theory,
    section 2.3); one with q = 0 alone makes it infinite.
    """
    return np.asarray(np.mean(_terms(p_scores_NC, q_scores_NC)[1].sum(axis=-1)))


def _terms(p_scores_NC: Array, q_scores_NC: Array) -> tuple[Array, Array]:
    """Return log p - log q, 0 where p is, and p times it, both (N, C)."""
    log_p, log_q = log_softmax(p_scores_NC), log_softmax(q_scores_NC)
    possible = ~np.isneginf(log_p)
    with np.errstate(invalid="ignore"):
        ratio_NC = np.where(possible, log_p - log_q, log_p.dtype.type(0))
        return ratio_NC, np.exp(log_p) * ratio_NC


def kl_divergence_bound(p_scores_NC: Array, q_scores_NC: Array, contract: Contract) -> Array:
    """Bound sum p (log p - log q): |ratio| times what p is off by, p times what the ratio is.

    p may be a softmax or exp(log p), and is rounded; the logarithms err by their bounds and are
    rounded, as are the ratio, the product and the row's sum; D(C) and D(N) of the sums, of absolute
    terms: nothing is known of how they cancel. So p = q gives 0 to within this.
    """
    u, value = units(contract), kl_divergence(p_scores_NC, q_scores_NC)
    if not np.isfinite(value):
        return np.zeros(())
    ratio_NC, terms_NC = (np.abs(x) for x in _terms(p_scores_NC, q_scores_NC))
    p_NC, log_error_NC = softmax(p_scores_NC), _log_error(p_scores_NC, u)
    p_error_NC = np.maximum(
        weights_error(
            p_scores_NC, p_NC, EXPONENT * u.a * depth_below_maximum(p_scores_NC, -1), u, -1
        ),
        p_NC * np.expm1(log_error_NC + ELEMENTARY * u.a),
    )
    p_error_NC = np.where(p_NC > 0, p_error_NC, 0.0) + u.i * p_NC
    both_NC = log_error_NC + _log_error(q_scores_NC, u)
    sizes_NC = terms_NC * (3 * u.i + u.sum(p_NC.shape[-1]) + u.sum(len(p_NC)) + u.a)
    error_NC = ratio_NC * p_error_NC + p_NC * both_NC + sizes_NC
    return rounded(np.asarray(error_NC.sum(axis=-1).mean()), value, u)


def _log_error(scores_NC: Array, u: Units) -> Array:
    """Bound a log-softmax that is rounded to the intermediate type, 0 where it is -inf."""
    y = log_softmax(scores_NC)
    size = np.where(np.isfinite(y), np.abs(y), 0.0)
    error = log_softmax_error(scores_NC, y, u, -1) + u.i * size
    return np.where(np.isfinite(y), error, 0.0)


def _mean_squared_error(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    pair = inputs["predictions"], inputs["targets"]
    return {"output": (mean_squared_error(*pair), mean_squared_error_bound(*pair, contract))}


def _kl_divergence(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    pair = inputs["p_scores"], inputs["q_scores"]
    return {"output": (kl_divergence(*pair), kl_divergence_bound(*pair, contract))}


OPERATORS = {
    "MeanSquaredError": Operator(
        1, ("predictions", "targets"), ("output",), _mean_squared_error, domain=OWN_DOMAIN
    ),
    "KLDivergence": Operator(
        1, ("p_scores", "q_scores"), ("output",), _kl_divergence, domain=OWN_DOMAIN
    ),
}
