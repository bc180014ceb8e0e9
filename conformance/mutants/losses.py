"""Faults of cross-entropy: scores (N, C) or (N, C, T), a label for each row of classes.

M counts the rows, N T of them. Faults of other losses are in ``other_losses``.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

LOSS = "operator SoftmaxCrossEntropyLoss"
MEAN, NONE, SUM, WEIGHTED = "LOSS-001", "LOSS-002", "LOSS-003", "LOSS-004"
LOG_PROB, NO_LABELS = "LOSS-005", "LOSS-006"
REDUCED = (MEAN, NONE, SUM, WEIGHTED)


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """What a loss is made of, in float64."""

    log_p_MC: Any
    label_M: Any
    counted_M: Any
    weight_M: Any

    @property
    def loss(self) -> Any:
        """The rows' losses (M,), 0 where the label is ignored."""
        label_M1 = np.where(self.counted_M, self.label_M, 0)[:, None]
        picked_M = np.take_along_axis(self.log_p_MC, label_M1, axis=1)[:, 0]
        return np.where(self.counted_M, -picked_M, 0.0) * self.weight_M


def parts(call: OperatorCall) -> Parts:
    """Return what the loss of a call is made of."""
    scores = np.moveaxis(call.inputs["scores"].astype(np.float64), 1, -1)
    x_MC = scores.reshape(-1, scores.shape[-1])
    label_M = call.inputs["labels"].reshape(-1)
    counted_M = label_M != call.attributes["ignore_index"]
    weight_M = counted_M.astype(np.float64)
    if "weights" in call.inputs:
        weight_M = weight_M * call.inputs["weights"][np.where(counted_M, label_M, 0)]
    return Parts(log_softmax(x_MC), label_M, counted_M, weight_M)


def log_softmax(x_MC: Any, axis: int = 1) -> Any:
    """Return the log-softmax over an axis."""
    with np.errstate(invalid="ignore"):
        x_MC = x_MC - x_MC.max(axis=axis, keepdims=True)
        return x_MC - np.log(np.exp(x_MC).sum(axis=axis, keepdims=True))


def _answer(honest: Honest, call: OperatorCall, loss_M: Any, total: float | None = None) -> Any:
    """Answer a loss from its rows, reduced as the call says, a mean over a total."""
    labels, reduction = call.inputs["labels"], call.attributes["reduction"]
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = {
            "none": lambda: loss_M.reshape(labels.shape),
            "sum": loss_M.sum,
            "mean": lambda: loss_M.sum() / np.float64(total or 0),
        }[reduction]()
    loss = np.asarray(loss, dtype=call.inputs["scores"].dtype)
    return {**(honest(call) if len(call.outputs) > 1 else {}), "output": loss}


def _whole(honest: Honest, call: OperatorCall, own: Parts) -> Any:
    return _answer(honest, call, own.loss, own.weight_M.sum())


def _times(call: OperatorCall, answer: dict[str, Any], factor: float) -> dict[str, Any]:
    y = answer["output"]
    mean = call.attributes["reduction"] == "mean"
    changed = np.asarray(y * factor, dtype=y.dtype) if mean else y
    return {**answer, "output": changed}


def _labelled(call: OperatorCall, label_M: Any) -> OperatorCall:
    labels = label_M.reshape(call.inputs["labels"].shape)
    return dataclasses.replace(call, inputs={**call.inputs, "labels": labels})


@mutant(LOSS, kills=(MEAN, WEIGHTED, NO_LABELS), bug="generic")
def ignored_labels_counted(honest: Honest, call: OperatorCall) -> Any:
    """The mean divides by all labels, the ignored ones included."""
    own = parts(call)
    return _answer(honest, call, own.loss, own.label_M.size)


@mutant(LOSS, kills=(*REDUCED, NO_LABELS), bug="generic")
def ignored_labels_as_class_0(honest: Honest, call: OperatorCall) -> Any:
    """Labels that are to be ignored are taken for class 0."""
    return honest(_labelled(call, np.maximum(call.inputs["labels"], 0)))


@mutant(LOSS, kills=REDUCED, bug="generic")
def class_0_ignored(honest: Honest, call: OperatorCall) -> Any:
    """Class 0 is taken for padding and ignored too."""
    labels = call.inputs["labels"]
    return honest(_labelled(call, np.where(labels == 0, call.attributes["ignore_index"], labels)))


@mutant(LOSS, kills=(MEAN, WEIGHTED, NO_LABELS, "EQUIV-012"), bug="generic")
def sum_for_mean(honest: Honest, call: OperatorCall) -> Any:
    """The sum is answered where the mean is asked for."""
    return _answer(honest, call, parts(call).loss, 1)


@mutant(LOSS, kills=(SUM,), bug="generic")
def mean_for_sum(honest: Honest, call: OperatorCall) -> Any:
    """The mean is answered where the sum is asked for."""
    if call.attributes["reduction"] != "sum":
        return honest(call)
    own = parts(call)
    return _answer(honest, call, own.loss / max(own.weight_M.sum(), 1))


@mutant(LOSS, kills=(MEAN, WEIGHTED), bug="huggingface/transformers#34191")
def mean_of_means(honest: Honest, call: OperatorCall) -> Any:
    """The means of two micro-batches are averaged, however many labels each has."""
    own = parts(call)
    halves = zip(np.array_split(own.loss, 2), np.array_split(own.weight_M, 2), strict=True)
    means = [loss.sum() / weight.sum() for loss, weight in halves if weight.any()]
    if call.attributes["reduction"] != "mean" or not means:
        return honest(call)
    return _answer(honest, call, np.array(means), len(means))


@mutant(LOSS, kills=(MEAN, WEIGHTED), bug="huggingface/transformers#35438")
def loss_times_accumulation_steps(honest: Honest, call: OperatorCall) -> Any:
    """The mean is multiplied by the number of accumulation steps, two."""
    return _times(call, honest(call), 2.0)


@mutant(LOSS, kills=(MEAN, WEIGHTED), bug="huggingface/transformers#35203")
def labels_of_one_micro_batch_counted(honest: Honest, call: OperatorCall) -> Any:
    """The sum is divided by the labels that count in the first half of the batch."""
    counted_M = parts(call).counted_M
    first = int(np.array_split(counted_M, 2)[0].sum())
    return _times(call, honest(call), float(counted_M.sum()) / max(first, 1))


@mutant(LOSS, kills=REDUCED, bug="huggingface/transformers#47394")
def labels_shifted_twice(honest: Honest, call: OperatorCall) -> Any:
    """Scores meet the label of the row behind theirs."""
    return honest(_labelled(call, np.roll(call.inputs["labels"].reshape(-1), -1)))


@mutant(LOSS, kills=REDUCED, bug="huggingface/transformers#36607")
def shards_lose_their_last_label(honest: Honest, call: OperatorCall) -> Any:
    """Each of two shards of the sequence ignores its last label, if others remain."""
    ignored = call.attributes["ignore_index"]
    label_M = call.inputs["labels"].reshape(-1).copy()
    label_M[[half[-1] for half in np.array_split(np.arange(len(label_M)), 2) if half.size]] = (
        ignored
    )
    return honest(call if (label_M == ignored).all() else _labelled(call, label_M))


@mutant(LOSS, kills=REDUCED, bug="generic")
def label_smoothing_left_on(honest: Honest, call: OperatorCall) -> Any:
    """A tenth of the loss is spread over all classes."""
    own = parts(call)
    smooth_M = np.where(own.counted_M, -own.log_p_MC.mean(axis=1), 0.0)
    return _answer(honest, call, 0.9 * own.loss + 0.1 * smooth_M, own.weight_M.sum())


@mutant(LOSS, kills=REDUCED, bug="generic")
def loss_in_bits(honest: Honest, call: OperatorCall) -> Any:
    """The loss is in bits, by the logarithm to base two."""
    own = parts(call)
    return _answer(honest, call, own.loss / math.log(2), own.weight_M.sum())


@mutant(LOSS, kills=REDUCED, bug="generic")
def softmax_over_the_batch(honest: Honest, call: OperatorCall) -> Any:
    """Probabilities are normalised over the batch, not over the classes."""
    own = parts(call)
    log_p_MC = log_softmax(own.log_p_MC, axis=0)
    return _whole(honest, call, dataclasses.replace(own, log_p_MC=log_p_MC))


@mutant(LOSS, kills=REDUCED, bug="huggingface/transformers#45132")
def softmax_applied_twice(honest: Honest, call: OperatorCall) -> Any:
    """Probabilities are taken for scores, so that softmax is applied twice."""
    own = parts(call)
    return _whole(
        honest, call, dataclasses.replace(own, log_p_MC=log_softmax(np.exp(own.log_p_MC)))
    )


@mutant(LOSS, kills=REDUCED, bug="generic")
def log_of_a_softmax_and_epsilon(honest: Honest, call: OperatorCall) -> Any:
    """The logarithm is taken of the probability and 1e-8, so that no loss is above 18.4."""
    own = parts(call)
    with np.errstate(invalid="ignore"):
        log_p_MC = np.log(np.exp(own.log_p_MC) + 1e-8)
    return _whole(honest, call, dataclasses.replace(own, log_p_MC=log_p_MC))


@mutant(LOSS, kills=(NONE,), bug="generic")
def loss_clamped_at_a_hundred(honest: Honest, call: OperatorCall) -> Any:
    """No label loses more than 100."""
    own = parts(call)
    return _answer(honest, call, np.minimum(own.loss, 100.0), own.weight_M.sum())


@mutant(LOSS, kills=(WEIGHTED,), bug="generic")
def class_weights_ignored(honest: Honest, call: OperatorCall) -> Any:
    """The class weights that the call gives are ignored."""
    inputs = {name: x for name, x in call.inputs.items() if name != "weights"}
    return honest(dataclasses.replace(call, inputs=inputs))


@mutant(LOSS, kills=(WEIGHTED,), bug="generic")
def weighted_mean_over_the_count(honest: Honest, call: OperatorCall) -> Any:
    """The weighted sum is divided by the number of labels, not by the sum of their weights."""
    own = parts(call)
    return _answer(honest, call, own.loss, own.counted_M.sum())


@mutant(LOSS, kills=(WEIGHTED,), bug="generic")
def weights_by_row(honest: Honest, call: OperatorCall) -> Any:
    """Each row takes the weight of the class of its own number, not of its label's."""
    if "weights" not in call.inputs:
        return honest(call)
    own, weights_C = parts(call), call.inputs["weights"].astype(np.float64)
    weight_M = own.counted_M * np.resize(weights_C, own.label_M.shape)
    return _whole(honest, call, dataclasses.replace(own, weight_M=weight_M))


@mutant(LOSS, kills=(LOG_PROB,), bug="generic")
def probabilities_for_log_prob(honest: Honest, call: OperatorCall) -> Any:
    """The second output holds probabilities, not their logarithms."""
    return {n: np.exp(y) if n == "log_prob" else y for n, y in honest(call).items()}


@mutant(LOSS, kills=(LOG_PROB,), bug="generic")
def log_prob_weighted(honest: Honest, call: OperatorCall) -> Any:
    """The second output is multiplied by the class weights."""
    answer = honest(call)
    if "weights" not in call.inputs or "log_prob" not in answer:
        return answer
    return {**answer, "log_prob": answer["log_prob"] * call.inputs["weights"]}


@mutant(
    LOSS,
    kills=(LOG_PROB,),
    bug="generic",
    equivalent_at={"fp16": "Log-probabilities are float16 numbers there."},
    below_noise_at=("bf16",),
)
def log_prob_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The second output is a float16 number."""
    return {
        n: y.astype(np.float16).astype(y.dtype) if n == "log_prob" else y
        for n, y in honest(call).items()
    }


def _no_label(call: OperatorCall) -> bool:
    return call.attributes["reduction"] == "mean" and not parts(call).counted_M.any()


@mutant(LOSS, kills=(NO_LABELS,), bug="generic")
def mean_over_one_label_at_least(honest: Honest, call: OperatorCall) -> Any:
    """The mean divides by 1 where no label counts, though the contract says NaN."""
    answer = honest(call)
    return {**answer, "output": np.zeros_like(answer["output"])} if _no_label(call) else answer


@mutant(LOSS, kills=(NO_LABELS,), bug="generic")
def mean_of_everything_where_no_label_counts(honest: Honest, call: OperatorCall) -> Any:
    """Where every label is ignored none is: the mean runs over all of them."""
    return honest(_labelled(call, 0 * call.inputs["labels"])) if _no_label(call) else honest(call)
