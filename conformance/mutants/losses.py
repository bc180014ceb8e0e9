"""Faults of cross-entropy: scores (N, C) and N labels, some of them ignored."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

LOSS = "operator SoftmaxCrossEntropyLoss"


def _parts(call: OperatorCall) -> tuple[Any, Any]:
    """Return the log-probabilities (N, C) in float64, and which labels count."""
    x = call.inputs["scores"].astype(np.float64)
    x = x - x.max(axis=1, keepdims=True)
    log_p = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    return log_p, call.inputs["labels"] != call.attributes["ignore_index"]


def _negative(log_p: Any, labels: Any) -> Any:
    return -np.take_along_axis(log_p, np.maximum(labels, 0)[:, None], axis=1)[:, 0]


def _answer(call: OperatorCall, loss: float) -> dict[str, Any]:
    return {"output": np.asarray(loss, dtype=call.inputs["scores"].dtype)}


def _times(answer: dict[str, Any], factor: float) -> dict[str, Any]:
    return {name: (y * factor).astype(y.dtype) for name, y in answer.items()}


def _labelled(call: OperatorCall, labels: Any) -> OperatorCall:
    return dataclasses.replace(call, inputs={**call.inputs, "labels": labels})


def _mean(values: Iterable[float]) -> float:
    return float(np.mean([value for value in values if not math.isnan(value)]))


@mutant(LOSS, kills=("LOSS-001",), bug="generic")
def ignored_labels_counted(honest: Honest, call: OperatorCall) -> Any:
    """The mean divides by all labels, the ignored ones included."""
    return _times(honest(call), float(_parts(call)[1].mean()))


@mutant(LOSS, kills=("LOSS-001",), bug="generic")
def ignored_labels_as_class_0(honest: Honest, call: OperatorCall) -> Any:
    """Labels that are to be ignored are taken for class 0."""
    return honest(_labelled(call, np.maximum(call.inputs["labels"], 0)))


@mutant(LOSS, kills=("LOSS-001",), bug="generic")
def class_0_ignored(_: Honest, call: OperatorCall) -> Any:
    """Class 0 is taken for padding and ignored too."""
    log_p, counted = _parts(call)
    labels = call.inputs["labels"]
    kept = counted & (labels != 0)
    return _answer(call, _negative(log_p, labels)[kept].mean() if kept.any() else 0.0)


@mutant(LOSS, kills=("LOSS-001",), bug="generic")
def sum_for_mean(honest: Honest, call: OperatorCall) -> Any:
    """The sum is answered where the mean is asked for."""
    return _times(honest(call), float(_parts(call)[1].sum()))


@mutant(LOSS, kills=("LOSS-001",), bug="huggingface/transformers#34191")
def mean_of_means(_: Honest, call: OperatorCall) -> Any:
    """The means of two micro-batches are averaged, however many labels each has."""
    log_p, counted = _parts(call)
    loss = np.where(counted, _negative(log_p, call.inputs["labels"]), np.nan)
    halves = [half[~np.isnan(half)] for half in np.array_split(loss, 2)]
    return _answer(call, _mean(half.mean() for half in halves if half.size))


@mutant(LOSS, kills=("LOSS-001",), bug="huggingface/transformers#35438")
def loss_times_accumulation_steps(honest: Honest, call: OperatorCall) -> Any:
    """The loss is multiplied by the number of accumulation steps, two."""
    return _times(honest(call), 2.0)


@mutant(LOSS, kills=("LOSS-001",), bug="huggingface/transformers#35203")
def labels_of_one_micro_batch_counted(honest: Honest, call: OperatorCall) -> Any:
    """The sum is divided by the labels that count in the first half of the batch."""
    _, counted = _parts(call)
    first = int(np.array_split(counted, 2)[0].sum())
    return _times(honest(call), float(counted.sum()) / max(first, 1))


@mutant(LOSS, kills=("LOSS-001",), bug="huggingface/transformers#47394")
def labels_shifted_twice(honest: Honest, call: OperatorCall) -> Any:
    """Scores meet the label of the row behind theirs."""
    return honest(_labelled(call, np.roll(call.inputs["labels"], -1)))


@mutant(LOSS, kills=("LOSS-001",), bug="huggingface/transformers#36607")
def shards_lose_their_last_label(honest: Honest, call: OperatorCall) -> Any:
    """Each of two shards of the sequence ignores its last label."""
    labels = call.inputs["labels"].copy()
    ends = [half[-1] for half in np.array_split(np.arange(len(labels)), 2)]
    labels[ends] = call.attributes["ignore_index"]
    if (labels == call.attributes["ignore_index"]).all():
        return honest(call)
    return honest(_labelled(call, labels))


@mutant(LOSS, kills=("LOSS-001",), bug="generic")
def label_smoothing_left_on(honest: Honest, call: OperatorCall) -> Any:
    """A tenth of the loss is spread over all classes."""
    log_p, counted = _parts(call)
    smooth = float(-log_p[counted].mean())
    return {n: (0.9 * y + 0.1 * smooth).astype(y.dtype) for n, y in honest(call).items()}


@mutant(LOSS, kills=("LOSS-001",), bug="generic")
def loss_in_bits(honest: Honest, call: OperatorCall) -> Any:
    """The loss is in bits, by the logarithm to base two."""
    return _times(honest(call), 1 / math.log(2))


@mutant(LOSS, kills=("LOSS-001",), bug="generic")
def softmax_over_the_batch(_: Honest, call: OperatorCall) -> Any:
    """Probabilities are normalised over the batch, not over the classes."""
    x = call.inputs["scores"].astype(np.float64)
    log_p = x - np.log(np.exp(x).sum(axis=0, keepdims=True))
    _, counted = _parts(call)
    return _answer(call, _negative(log_p, call.inputs["labels"])[counted].mean())


@mutant(LOSS, kills=("LOSS-001",), bug="huggingface/transformers#45132")
def softmax_applied_twice(honest: Honest, call: OperatorCall) -> Any:
    """Probabilities are taken for scores, so that softmax is applied twice."""
    probabilities = np.exp(_parts(call)[0]).astype(call.inputs["scores"].dtype)
    return honest(dataclasses.replace(call, inputs={**call.inputs, "scores": probabilities}))
