"""Losses of scores and labels. N rows, C classes, T positions behind the classes."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers, with_inputs
from conformance.records import OWN_DOMAIN, OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]
    Case = Mapping[str, Any]

_IGNORED = -100
"""The label that PyTorch and Transformers ignore by default."""
_OWN_OPSET = 23


def losses(operators: CheckedOperators, case: Case, reduction: str) -> Strategy:
    """SoftmaxCrossEntropyLoss of scores (N, C) or (N, C, T), some labels ignored, never all.

    Args:
        operators: the candidate's.
        case: the numbers ``classes``, ``rows`` at most (40) and ``positions`` T; ``scale`` and
            ``mean`` of the scores; ``peak``, by how much the right class lies above, where labels
            follow each other in a row; ``weighted`` for class weights; ``impossible`` for a score
            of -inf at one label; ``keep`` to ignore no label, ``ignore`` to ignore all.
        reduction: the attribute.
    """
    attributes = {"reduction": reduction, "ignore_index": _IGNORED}

    def make(seed: int, rows: int, ignored: float) -> OperatorCall:
        numbers = Numbers(operators, seed)
        inputs = _scored(numbers, case, rows, ignored)
        if case.get("weighted", False):
            inputs["weights"] = np.exp(numbers.normal(case["classes"]).astype(np.float32) / 2)
            inputs["weights"] = inputs["weights"].astype(operators.dtype)
        return OperatorCall("SoftmaxCrossEntropyLoss", 13, inputs, attributes, ("output",))

    return _built(make, case)


def log_probabilities(operators: CheckedOperators, case: Case) -> Strategy:
    """Mean SoftmaxCrossEntropyLoss as in ``losses``, which is asked for log_prob as well."""
    outputs = ("output", "log_prob")
    return losses(operators, case, "mean").map(partial(dataclasses.replace, outputs=outputs))


def _built(make: Any, case: Case) -> Strategy:
    return st.builds(make, SEEDS, st.integers(1, case.get("rows", 40)), st.floats(0, 0.9))


def _scored(numbers: Numbers, case: Case, rows: int, ignored: float) -> dict[str, Array]:
    """Return scores and labels; a share of the labels, from the first on, is to be ignored."""
    classes, more = case["classes"], [case["positions"]] if "positions" in case else []
    scale, mean = case.get("scale", 3.0), case.get("mean", 0.0)
    scores = numbers.normal(rows, *more, classes, scale=scale, mean=mean)
    labels = numbers.below(classes, rows, *more)
    if "peak" in case:  # a text that counts: each label is the one before it and one more
        labels = (labels[:1] + np.arange(labels.size).reshape(labels.shape)) % classes
        right = np.expand_dims(labels, -1)
        raised = np.take_along_axis(scores, right, -1) + scores.dtype.type(case["peak"])
        np.put_along_axis(scores, right, raised, -1)
    if case.get("impossible", False):
        scores.reshape(-1, classes)[-1, labels.reshape(-1)[-1]] = -np.inf
    share = 1.0 if case.get("ignore", False) else ignored
    labels.reshape(-1)[: 0 if case.get("keep", False) else int(share * labels.size)] = _IGNORED
    return {"scores": np.moveaxis(scores, -1, 1), "labels": labels}


def label_smoothed(operators: CheckedOperators, case: Case) -> Strategy:
    """LabelSmoothedCrossEntropy of scores (N, C), as in ``losses``, by the case's ``smoothing``."""
    attributes = {"smoothing": float(case["smoothing"]), "ignore_index": _IGNORED}
    return _own(operators, case, "LabelSmoothedCrossEntropy", attributes)


def perplexities(operators: CheckedOperators, case: Case) -> Strategy:
    """Perplexity of scores (N, C), as in ``losses``; of equal scores where ``uniform`` is set."""
    calls = _own(operators, case, "Perplexity", {"ignore_index": _IGNORED})
    if not case.get("uniform", False):
        return calls
    return calls.map(lambda call: with_inputs(call, scores=_uniform(call.inputs["scores"])))


def _uniform(scores_NC: Array) -> Array:
    """Return rows of one number each."""
    return np.repeat(scores_NC[:, :1], scores_NC.shape[1], axis=1)


def _own(
    operators: CheckedOperators, case: Case, operator: str, attributes: dict[str, Any]
) -> Strategy:
    def make(seed: int, rows: int, ignored: float) -> OperatorCall:
        inputs = _scored(Numbers(operators, seed), case, rows, ignored)
        return OperatorCall(operator, _OWN_OPSET, inputs, attributes, ("output",), OWN_DOMAIN)

    return _built(make, case)
