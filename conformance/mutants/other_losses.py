"""Faults of label smoothing, perplexity, squared error and divergence. N rows, C classes."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants.losses import log_softmax, parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

SMOOTHED, PERPLEXITY = "operator LabelSmoothedCrossEntropy", "operator Perplexity"
SQUARED, DIVERGENCE = "operator MeanSquaredError", "operator KLDivergence"


def _answer(call: OperatorCall, value: float) -> Any:
    (x, *_) = call.inputs.values()
    with np.errstate(over="ignore"):
        return {"output": np.asarray(value).astype(x.dtype)}


def _changed(honest: Honest, call: OperatorCall, change: Callable[[Any], Any]) -> Any:
    return {name: np.asarray(change(y)).astype(y.dtype) for name, y in honest(call).items()}


def _in_float16(honest: Honest, call: OperatorCall) -> Any:
    with np.errstate(over="ignore"):
        return _changed(honest, call, lambda y: y.astype(np.float16))


def _smoothed(
    call: OperatorCall, spread: Callable[[Any], Any], *, rest: bool = True, all_rows: bool = False
) -> Any:
    """Answer (1 - e) times the cross-entropy plus e times what a function spreads."""
    own, e = parts(call), call.attributes["smoothing"]
    smooth_N = spread(own)
    smooth_N = smooth_N if all_rows else np.where(own.counted_M, smooth_N, 0.0)
    sharp = (1 - e if rest else 1.0) * own.loss.sum() / own.counted_M.sum()
    rows = len(smooth_N) if all_rows else own.counted_M.sum()
    return _answer(call, sharp + e * smooth_N.sum() / rows)


def _evenly(own: Any) -> Any:
    return -own.log_p_MC.mean(axis=1)


@mutant(SMOOTHED, kills=("LOSS-007",), bug="generic")
def smoothing_not_passed(honest: Honest, call: OperatorCall) -> Any:
    """The smoothing that the call asks for is ignored."""
    return honest(dataclasses.replace(call, attributes={**call.attributes, "smoothing": 0.0}))


@mutant(SMOOTHED, kills=("LOSS-007",), bug="generic")
def smoothing_over_the_other_classes(_: Honest, call: OperatorCall) -> Any:
    """The share of smoothing is spread over the classes but the label's own."""

    def others(own: Any) -> Any:
        classes = own.log_p_MC.shape[1]
        return (-own.log_p_MC.sum(axis=1) - own.loss) / max(classes - 1, 1)

    return _smoothed(call, others)


@mutant(SMOOTHED, kills=("LOSS-007",), bug="generic")
def smoothing_on_top(_: Honest, call: OperatorCall) -> Any:
    """The spread share is added to the whole cross-entropy, not to the rest of it."""
    return _smoothed(call, _evenly, rest=False)


@mutant(SMOOTHED, kills=("LOSS-007",), bug="generic")
def smoothing_summed_over_classes(_: Honest, call: OperatorCall) -> Any:
    """Each class gets the whole share of smoothing, not its part of it."""
    return _smoothed(call, lambda own: -own.log_p_MC.sum(axis=1))


@mutant(SMOOTHED, kills=("LOSS-007",), bug="generic")
def ignored_labels_smoothed(_: Honest, call: OperatorCall) -> Any:
    """The spread share is the mean over all rows, the ignored ones included."""
    return _smoothed(call, _evenly, all_rows=True)


@mutant(
    SMOOTHED,
    kills=("LOSS-007",),
    bug="generic",
    equivalent_at={"fp16": "The loss is a float16 number there."},
    below_noise_at=("bf16",),
)
def smoothed_loss_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The smoothed loss is a float16 number."""
    return _in_float16(honest, call)


@mutant(PERPLEXITY, kills=("LOSS-010",), bug="generic")
def perplexity_to_base_two(honest: Honest, call: OperatorCall) -> Any:
    """Two is raised to the mean loss, which is in nats."""
    return _changed(honest, call, lambda y: y ** math.log(2))


@mutant(PERPLEXITY, kills=("LOSS-010",), bug="generic")
def mean_of_perplexities(_: Honest, call: OperatorCall) -> Any:
    """The mean is taken of the rows' perplexities, not of their losses."""
    own = parts(call)
    return _answer(call, np.exp(own.loss[own.counted_M]).mean())


@mutant(PERPLEXITY, kills=("LOSS-010",), bug="generic")
def ignored_labels_in_the_perplexity(_: Honest, call: OperatorCall) -> Any:
    """The mean loss counts ignored labels as rows without loss."""
    return _answer(call, np.exp(parts(call).loss.mean()))


@mutant(PERPLEXITY, kills=("LOSS-010",), bug="mosaicml/llm-foundry#288")
def perplexity_of_unshifted_labels(honest: Honest, call: OperatorCall) -> Any:
    """Each row of scores meets the label of the row before it."""
    labels = np.roll(call.inputs["labels"], 1)
    return honest(dataclasses.replace(call, inputs={**call.inputs, "labels": labels}))


@mutant(PERPLEXITY, kills=("LOSS-010",), bug="generic")
def perplexity_of_the_vocabulary_and_one(honest: Honest, call: OperatorCall) -> Any:
    """One more class, with the score 0, takes part in the softmax."""
    scores = call.inputs["scores"]
    wider = np.concatenate([scores, np.zeros_like(scores[:, :1])], axis=1)
    return honest(dataclasses.replace(call, inputs={**call.inputs, "scores": wider}))


@mutant(PERPLEXITY, kills=("LOSS-010",), bug="generic", below_noise_at=("bf16", "fp16"))
def perplexity_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The mean loss is a float16 number when its exponential is taken."""
    return _changed(honest, call, lambda y: np.exp(np.log(y).astype(np.float16).astype(np.float64)))


def _difference(call: OperatorCall) -> Any:
    return call.inputs["predictions"].astype(np.float64) - call.inputs["targets"]


@mutant(SQUARED, kills=("LOSS-008",), bug="generic")
def sum_of_squared_errors(honest: Honest, call: OperatorCall) -> Any:
    """The sum is answered, not the mean."""
    return _changed(honest, call, lambda y: y * _difference(call).size)


@mutant(SQUARED, kills=("LOSS-008",), bug="generic")
def squared_errors_by_row(honest: Honest, call: OperatorCall) -> Any:
    """The sum is divided by the number of rows, not of elements."""
    return _changed(honest, call, lambda y: y * _difference(call).shape[1])


@mutant(SQUARED, kills=("LOSS-008",), bug="generic")
def half_the_squared_error(honest: Honest, call: OperatorCall) -> Any:
    """Half of the mean is answered, the form whose gradient has no factor two."""
    return _changed(honest, call, lambda y: y / 2)


@mutant(SQUARED, kills=("LOSS-008",), bug="generic")
def root_of_the_squared_error(honest: Honest, call: OperatorCall) -> Any:
    """The root of the mean is answered."""
    return _changed(honest, call, np.sqrt)


@mutant(SQUARED, kills=("LOSS-008",), bug="generic")
def absolute_error(_: Honest, call: OperatorCall) -> Any:
    """The mean is taken of absolute differences."""
    return _answer(call, np.abs(_difference(call)).mean())


@mutant(SQUARED, kills=("LOSS-008",), bug="generic", below_noise_at=("bf16", "fp16"))
def squares_by_expansion(_: Honest, call: OperatorCall) -> Any:
    """Squares are a^2 - 2 a b + b^2, which cancels where a and b are close."""
    a, b = (call.inputs[name].astype(np.float32) for name in ("predictions", "targets"))
    return _answer(call, (a * a - 2 * a * b + b * b).mean())


def _logs(call: OperatorCall) -> tuple[Any, Any]:
    """Return log p and log q, (N, C), in float64."""
    pair = (call.inputs[name].astype(np.float64) for name in ("p_scores", "q_scores"))
    log_p, log_q = (log_softmax(x) for x in pair)
    return log_p, log_q


@mutant(DIVERGENCE, kills=("LOSS-009",), bug="generic")
def divergence_the_other_way(honest: Honest, call: OperatorCall) -> Any:
    """The divergence is that of q from p: its arguments are swapped."""
    p, q = call.inputs["p_scores"], call.inputs["q_scores"]
    return honest(dataclasses.replace(call, inputs={"p_scores": q, "q_scores": p}))


@mutant(DIVERGENCE, kills=("LOSS-009",), bug="generic")
def divergence_by_element(honest: Honest, call: OperatorCall) -> Any:
    """The sum is divided by the number of elements, as PyTorch's default reduction does."""
    return _changed(honest, call, lambda y: y / call.inputs["p_scores"].shape[1])


@mutant(DIVERGENCE, kills=("LOSS-009",), bug="generic")
def divergence_summed_over_rows(honest: Honest, call: OperatorCall) -> Any:
    """The rows' divergences are added up, not averaged."""
    return _changed(honest, call, lambda y: y * len(call.inputs["p_scores"]))


@mutant(DIVERGENCE, kills=("LOSS-009",), bug="generic")
def cross_entropy_for_divergence(_: Honest, call: OperatorCall) -> Any:
    """The entropy of p is not subtracted, so that p = q does not give 0."""
    log_p, log_q = _logs(call)
    with np.errstate(invalid="ignore"):
        terms = np.where(np.isneginf(log_p), 0.0, -np.exp(log_p) * log_q)
    return _answer(call, terms.sum(axis=1).mean())


@mutant(DIVERGENCE, kills=("LOSS-009",), bug="MakazhanAlpamys/Soup#682")
def divergence_of_shifted_rows(honest: Honest, call: OperatorCall) -> Any:
    """The student's rows are those of the next position."""
    shifted = np.roll(call.inputs["q_scores"], -1, axis=0)
    return honest(dataclasses.replace(call, inputs={**call.inputs, "q_scores": shifted}))


@mutant(DIVERGENCE, kills=("LOSS-009",), bug="generic")
def divergence_undefined_at_holes(_: Honest, call: OperatorCall) -> Any:
    """A class with p = q = 0 adds 0 times infinity less infinity, NaN."""
    log_p, log_q = _logs(call)
    with np.errstate(invalid="ignore"):
        return _answer(call, (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean())


@mutant(
    DIVERGENCE,
    kills=("LOSS-009",),
    bug="generic",
    equivalent_at={"fp16": "The divergence is a float16 number there."},
    below_noise_at=("bf16",),
)
def divergence_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """Both sides' scores are rounded to float16."""
    narrow = {n: x.astype(np.float16).astype(x.dtype) for n, x in call.inputs.items()}
    return honest(dataclasses.replace(call, inputs=narrow))


@mutant(DIVERGENCE, bug="generic", equivalent="sum p (log p - log q) = cross-entropy - entropy.")
def divergence_as_a_difference(_: Honest, call: OperatorCall) -> Any:
    """The entropy of p is subtracted from the cross-entropy at the end, in float64."""
    log_p, log_q = _logs(call)
    with np.errstate(invalid="ignore"):
        parts_NC = [np.where(np.isneginf(log_p), 0.0, np.exp(log_p) * x) for x in (log_p, log_q)]
    own, other = (x.sum(axis=1).mean() for x in parts_NC)
    return _answer(call, own - other)
