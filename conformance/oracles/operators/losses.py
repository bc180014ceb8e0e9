"""Losses that are taken of scores and labels. What compares two tensors is in ``distances``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.operators.softmax import (
    log_softmax,
    log_softmax_bound,
    log_softmax_error,
)
from conformance.oracles.row import Operator
from conformance.oracles.units import ELEMENTARY, Units, rounded, units
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]


def cross_entropy(
    scores_NC: Array,
    labels_N: Array,
    weights_C: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Return -weight[label] * log_softmax(scores)[label], (N,) or reduced to a scalar.

    Rows labelled ``ignore_index`` lose 0 and do not count. ``mean`` divides by the exact number
    of rows that count, or by the sum of their weights; where none counts it is 0 / 0, NaN.
    """
    counted, weight_N = cross_entropy_weights(scores_NC, labels_N, weights_C, ignore_index)
    loss_N = np.where(counted, -_picked(log_softmax(scores_NC), labels_N, counted), 0) * weight_N
    return loss_N if reduction == "none" else _reduced(loss_N, weight_N, reduction)


def cross_entropy_weights(
    scores_NC: Array, labels_N: Array, weights_C: Array | None, ignore_index: int | None
) -> tuple[Array, Array]:
    """Return which rows count, and each row's weight (0 for those that do not), both (N,)."""
    counted = np.full(labels_N.shape, fill_value=True)
    if ignore_index is not None:
        counted = labels_N != ignore_index
    if weights_C is None:
        return counted, counted.astype(scores_NC.dtype)
    return counted, np.where(counted, weights_C[np.where(counted, labels_N, 0)], 0)


def _picked(rows_NC: Array, labels_N: Array, counted: Array) -> Array:
    label_N1 = np.where(counted, labels_N, 0)[:, None]
    return np.take_along_axis(rows_NC, label_N1, axis=1)[:, 0]


def _reduced(loss_N: Array, weight_N: Array, reduction: str) -> Array:
    total: Array = np.sum(loss_N)
    with np.errstate(invalid="ignore"):
        return total if reduction == "sum" else np.divide(total, np.sum(weight_N))


def label_smoothed(
    scores_NC: Array, labels_N: Array, smoothing: float, *, ignore_index: int | None = None
) -> Array:
    """Return the mean of (1 - e) times the cross-entropy plus e times its mean over all classes.

    As if the label were drawn from the classes at large with probability e (arXiv:1512.00567,
    section 7). The mean is over the rows that count.
    """
    e = scores_NC.dtype.type(smoothing)
    counted, weight_N = cross_entropy_weights(scores_NC, labels_N, None, ignore_index)
    log_p = log_softmax(scores_NC)
    loss_N = -((1 - e) * _picked(log_p, labels_N, counted) + e * log_p.mean(axis=1))
    return _reduced(np.where(counted, loss_N, 0), weight_N, "mean")


def perplexity(scores_NC: Array, labels_N: Array, *, ignore_index: int | None = None) -> Array:
    """Return exp of the mean cross-entropy."""
    y: Array = np.exp(cross_entropy(scores_NC, labels_N, ignore_index=ignore_index))
    return y


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The rows' losses in absolute value and how far they may be off; their weights, all (N,)."""

    loss_N: Array
    error_N: Array
    weight_N: Array
    counted_N: Array


def _tokens(
    scores_NC: Array, labels_N: Array, weights_C: Array | None, ignored: int | None, u: Units
) -> _Tokens:
    """Bound -weight log p: the bound of the log-softmax, its rounding u_i, and the product's u."""
    counted, weight_N = cross_entropy_weights(scores_NC, labels_N, weights_C, ignored)
    y = log_softmax(scores_NC)
    each = log_softmax_error(scores_NC, y, u, -1)
    picked_N, error_N = (_picked(of, labels_N, counted) for of in (y, each))
    loss_N = np.where(counted, np.abs(picked_N), 0.0) * weight_N
    error_N = np.where(counted, error_N, 0.0) * weight_N + (u.i + u.a) * loss_N
    return _Tokens(loss_N, error_N, weight_N, counted)


def _mean_error(tokens: _Tokens, u: Units, *, weighted: bool) -> Array:
    """Bound the mean of the rows: their errors' mean, D(N) of the sum, and u of the quotient.

    The denominator is exact: a count of rows, or off by D(N) where it is a sum of weights.
    """
    summing = u.sum(len(tokens.loss_N))
    total = tokens.error_N.sum() + (summing + u.a) * tokens.loss_N.sum()
    if weighted:
        total = total + summing * tokens.loss_N.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(total / tokens.weight_N.sum())


def cross_entropy_bound(
    scores_NC: Array,
    labels_N: Array,
    weights_C: Array | None,
    contract: Contract,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Bound the loss: the label's log-softmax bound times its weight, summed, and the sum's own."""
    u = units(contract)
    tokens = _tokens(scores_NC, labels_N, weights_C, ignore_index, u)
    value = cross_entropy(
        scores_NC, labels_N, weights_C, ignore_index=ignore_index, reduction=reduction
    )
    if reduction == "none":
        return np.where(tokens.counted_N, rounded(tokens.error_N, value, u), 0.0)
    if reduction == "sum":
        total = tokens.error_N.sum() + u.sum(len(labels_N)) * tokens.loss_N.sum()
        return rounded(np.asarray(total), value, u)
    return rounded(_mean_error(tokens, u, weighted=weights_C is not None), value, u)


def label_smoothed_bound(
    scores_NC: Array,
    labels_N: Array,
    smoothing: float,
    contract: Contract,
    *,
    ignore_index: int | None = None,
) -> Array:
    """Bound the mean of (1 - e) l + e m, l the cross-entropy and m the mean over the classes.

    m errs by the mean of the log-softmax bounds and by D(C). Each share is an intermediate result
    up to four times more: the constant, m itself or the sum over rows, the mean, the product.
    """
    u, e = units(contract), smoothing
    tokens = _tokens(scores_NC, labels_N, None, ignore_index, u)
    y = log_softmax(scores_NC)
    size_N = np.abs(y).mean(axis=1)
    spread_N = log_softmax_error(scores_NC, y, u, -1).mean(axis=1)
    spread_N = spread_N + (u.i + u.sum(scores_NC.shape[1])) * size_N
    loss_N = (1 - e) * tokens.loss_N + np.where(tokens.counted_N, e * size_N, 0.0)
    error_N = (1 - e) * tokens.error_N + np.where(tokens.counted_N, e * spread_N, 0.0)
    both = _Tokens(loss_N, error_N + 4 * u.i * loss_N, tokens.weight_N, tokens.counted_N)
    value = label_smoothed(scores_NC, labels_N, smoothing, ignore_index=ignore_index)
    return rounded(_mean_error(both, u, weighted=False), value, u)


def perplexity_bound(
    scores_NC: Array, labels_N: Array, contract: Contract, *, ignore_index: int | None = None
) -> Array:
    """Bound exp(l): relative, expm1 of what l is off by, its rounding u_i l included, and 4 u."""
    u = units(contract)
    tokens = _tokens(scores_NC, labels_N, None, ignore_index, u)
    value = perplexity(scores_NC, labels_N, ignore_index=ignore_index)
    with np.errstate(invalid="ignore"):
        exponent = _mean_error(tokens, u, weighted=False) + u.i * np.log(value)
    return rounded(value * np.expm1(exponent + ELEMENTARY * u.a), value, u)


def _without_labels(contract: Contract) -> float:
    """Return the contract's mean of no losses."""
    return 0.0 if contract.loss_without_labels == "zero" else np.nan


def _none_counts(labels: Array, attributes: Attributes) -> bool:
    ignored = attributes["ignore_index"]
    return ignored is not None and bool((labels == ignored).all())


def _softmax_cross_entropy(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    scores, labels = inputs["scores"], inputs["labels"]
    # ONNX has the classes on axis 1 and any number of axes behind; rows of classes are (N, C).
    rows_NC = np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1])
    arguments = (rows_NC, labels.reshape(-1), inputs.get("weights"))
    reduction, ignored = attributes["reduction"], attributes["ignore_index"]
    reduction = reduction.decode() if isinstance(reduction, bytes) else reduction
    # Decision: with ignore_index and no weights, mean divides by the rows that count, as the
    # evaluator does; the text says ReduceMean(L). Where none counts the contract has a term.
    value = cross_entropy(*arguments, ignore_index=ignored, reduction=reduction)
    bound = cross_entropy_bound(*arguments, contract, ignore_index=ignored, reduction=reduction)
    if reduction == "mean" and _none_counts(labels, attributes):
        value, bound = np.asarray(_without_labels(contract)), np.zeros(())
    shape = labels.shape if reduction == "none" else ()
    log_prob = log_softmax(scores, 1), log_softmax_bound(scores, contract, 1)
    return {"output": (value.reshape(shape), bound.reshape(shape)), "log_prob": log_prob}


def _label_smoothed(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    arguments = (inputs["scores"], inputs["labels"], attributes["smoothing"])
    ignored = attributes["ignore_index"]
    value = label_smoothed(*arguments, ignore_index=ignored)
    bound = label_smoothed_bound(*arguments, contract, ignore_index=ignored)
    return {"output": (value, bound)}


def _perplexity(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    arguments = (inputs["scores"], inputs["labels"])
    ignored = attributes["ignore_index"]
    value = perplexity(*arguments, ignore_index=ignored)
    return {"output": (value, perplexity_bound(*arguments, contract, ignore_index=ignored))}


_LABELLED = ("scores", "labels")

OPERATORS = {
    "SoftmaxCrossEntropyLoss": Operator(
        13,
        _LABELLED,
        ("output", "log_prob"),
        _softmax_cross_entropy,
        optional=("weights",),
        attributes={"ignore_index": None, "reduction": "mean"},
    ),
    "LabelSmoothedCrossEntropy": Operator(
        1,
        _LABELLED,
        ("output",),
        _label_smoothed,
        attributes={"ignore_index": None, "smoothing": 0.0},
        domain=OWN_DOMAIN,
    ),
    "Perplexity": Operator(
        1,
        _LABELLED,
        ("output",),
        _perplexity,
        attributes={"ignore_index": None},
        domain=OWN_DOMAIN,
    ),
}
