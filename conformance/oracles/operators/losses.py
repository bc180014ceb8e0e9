"""Losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.operators.softmax import (
    log_softmax,
    log_softmax_bound,
    log_softmax_error,
)
from conformance.oracles.row import Operator
from conformance.oracles.units import rounded, units

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
    label = np.where(counted, labels_N, 0)[:, None]
    picked = np.take_along_axis(log_softmax(scores_NC), label, axis=1)[:, 0]
    loss_N: Array = np.where(counted, -picked, 0) * weight_N
    if reduction == "none":
        return loss_N
    total: Array = np.sum(loss_N)
    with np.errstate(invalid="ignore"):
        return total if reduction == "sum" else np.divide(total, np.sum(weight_N))


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


def cross_entropy_bound(
    scores_NC: Array,
    labels_N: Array,
    weights_C: Array | None,
    contract: Contract,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Bound the loss: the label's log-softmax bound times its weight, summed, and the sum's own.

    The denominator is exact: a count of rows, or D(N) when it is a sum of weights.
    """
    u = units(contract)
    counted, weight_N = cross_entropy_weights(scores_NC, labels_N, weights_C, ignore_index)
    label = np.where(counted, labels_N, 0)[:, None]
    y = log_softmax(scores_NC)
    each = log_softmax_error(scores_NC, y, u, -1)
    picked, error_N = (np.take_along_axis(of, label, axis=1)[:, 0] for of in (y, each))
    loss_N = np.where(counted, np.abs(picked), 0.0) * weight_N
    error_N = np.where(counted, error_N, 0.0) * weight_N + u.a * loss_N
    value = cross_entropy(
        scores_NC, labels_N, weights_C, ignore_index=ignore_index, reduction=reduction
    )
    if reduction == "none":
        return np.where(counted, rounded(error_N, value, u), 0.0)
    rows = len(labels_N)
    total = error_N.sum() + u.sum(rows) * loss_N.sum()
    if reduction == "mean":
        weighting = 0.0 if weights_C is None else u.sum(rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = total / weight_N.sum() + (weighting + u.a) * np.abs(value)
    return rounded(np.asarray(total), value, u)


def _softmax_cross_entropy(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    scores, labels = inputs["scores"], inputs["labels"]
    # ONNX has the classes on axis 1 and any number of axes behind; rows of classes are (N, C).
    rows_NC = np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1])
    arguments = (rows_NC, labels.reshape(-1), inputs.get("weights"))
    reduction, ignored = attributes["reduction"], attributes["ignore_index"]
    reduction = reduction.decode() if isinstance(reduction, bytes) else reduction
    # Decision: with ignore_index and no weights, mean divides by the rows that count, as the
    # evaluator does; the text says ReduceMean(L). Where none counts the mean is 0 / 0, NaN.
    value = cross_entropy(*arguments, ignore_index=ignored, reduction=reduction)
    bound = cross_entropy_bound(*arguments, contract, ignore_index=ignored, reduction=reduction)
    shape = labels.shape if reduction == "none" else ()
    log_prob = log_softmax(scores, 1), log_softmax_bound(scores, contract, 1)
    return {"output": (value.reshape(shape), bound.reshape(shape)), "log_prob": log_prob}


OPERATORS = {
    "SoftmaxCrossEntropyLoss": Operator(
        13,
        ("scores", "labels"),
        ("output", "log_prob"),
        _softmax_cross_entropy,
        optional=("weights",),
        attributes={"ignore_index": None, "reduction": "mean"},
    ),
}
