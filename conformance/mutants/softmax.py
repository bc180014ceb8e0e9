"""Faults of softmax and log-softmax: their axis, their ends, and what is no number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant
from conformance.mutants._calls import changed, ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

SOFTMAX, LOG_SOFTMAX = "operator Softmax", "operator LogSoftmax"


def _along_the_last(honest: Honest, call: OperatorCall) -> Any:
    return honest(changed(call, {"axis": -1}))


def _flattened(honest: Honest, call: OperatorCall) -> Any:
    """Compute over all axes from the one that is asked for on, as the standard had it once."""
    x, axis = call.inputs["input"], call.attributes["axis"]
    rows = x.reshape(*x.shape[: axis % x.ndim], -1)
    answer = honest(changed(call, {"axis": -1}, input=rows))
    return {name: y.reshape(x.shape) for name, y in answer.items()}


@mutant(SOFTMAX, kills=("SOFTMAX-004",), bug="generic")
def softmax_along_the_last_axis(honest: Honest, call: OperatorCall) -> Any:
    """The axis is not looked at, and the last one taken."""
    return _along_the_last(honest, call)


@mutant(SOFTMAX, kills=("SOFTMAX-004",), bug="generic")
def softmax_over_flattened_axes(honest: Honest, call: OperatorCall) -> Any:
    """All axes from the given one on are one, as they were before version 13."""
    return _flattened(honest, call)


@mutant(SOFTMAX, kills=("SOFTMAX-004",), bug="generic")
def softmax_counts_no_axis_from_the_end(honest: Honest, call: OperatorCall) -> Any:
    """A negative axis other than -1 is taken for the first."""
    return honest(changed(call, {"axis": max(call.attributes["axis"], -1) or 0}))


@mutant(LOG_SOFTMAX, kills=("SOFTMAX-007",), bug="generic")
def log_softmax_along_the_last_axis(honest: Honest, call: OperatorCall) -> Any:
    """The axis is not looked at, and the last one taken."""
    return _along_the_last(honest, call)


@mutant(LOG_SOFTMAX, kills=("SOFTMAX-007",), bug="generic")
def log_softmax_over_flattened_axes(honest: Honest, call: OperatorCall) -> Any:
    """All axes from the given one on are one, as they were before version 13."""
    return _flattened(honest, call)


@mutant(SOFTMAX, kills=("SOFTMAX-005",), bug="vllm-project/vllm#40376")
def nan_counts_as_nothing(honest: Honest, call: OperatorCall) -> Any:
    """NaN and infinity among the logits are read as minus infinity."""
    x = call.inputs["input"]
    return honest(changed(call, input=np.where(np.isfinite(x), x, np.asarray(-np.inf, x.dtype))))


@mutant(SOFTMAX, kills=("SOFTMAX-005",), bug="generic")
def infinity_takes_all(honest: Honest, call: OperatorCall) -> Any:
    """A logit of plus infinity has the probability one."""
    x = call.inputs["input"]
    return honest(changed(call, input=np.where(np.isposinf(x), ml_dtypes.finfo(x.dtype).max, x)))


@mutant(SOFTMAX, kills=("SOFTMAX-002", "SOFTMAX-005"), bug="generic")
def nan_spoils_all_rows(honest: Honest, call: OperatorCall) -> Any:
    """One maximum is taken of all rows, so that a NaN in one reaches all."""
    x = call.inputs["input"]
    return honest(call if np.isfinite(x).all() else changed(call, input=x * np.nan))


@mutant(SOFTMAX, kills=("SOFTMAX-001", "EQUIV-008"), bug="generic")
def classes_behind_the_last_block_not_counted(honest: Honest, call: OperatorCall) -> Any:
    """The sum misses the classes behind the last whole block of 1024."""
    x, axis = call.inputs["input"], call.attributes["axis"]
    whole = x.shape[axis] // 1024 * 1024
    answer = honest(call)
    if whole in (0, x.shape[axis]):
        return answer
    y = answer["output"].astype(np.float64)
    counted = np.take(y, np.arange(whole), axis=axis).sum(axis=axis, keepdims=True)
    return {"output": (y / counted).astype(x.dtype)}


@mutant(SOFTMAX, kills=ids("SOFTMAX", 1, 2, 5), bug="generic")
def small_probabilities_are_zero(honest: Honest, call: OperatorCall) -> Any:
    """An exponential below exp(-20) counts as 0."""
    x = call.inputs["input"]
    with np.errstate(invalid="ignore"):
        low = x < x.max(axis=call.attributes["axis"], keepdims=True) - 20
    answer = honest(call)
    return {"output": np.where(low, np.zeros((), x.dtype), answer["output"])}


@mutant(LOG_SOFTMAX, kills=("SOFTMAX-006",), bug="generic")
def log_of_nothing_clamped(honest: Honest, call: OperatorCall) -> Any:
    """Minus infinity is the smallest finite number."""
    x = call.inputs["input"]
    lowest = np.asarray(ml_dtypes.finfo(x.dtype).min, x.dtype)
    return {name: np.maximum(y, lowest) for name, y in honest(call).items()}


@mutant(LOG_SOFTMAX, kills=("SOFTMAX-006",), bug="generic")
def log_softmax_of_holes_is_nan(honest: Honest, call: OperatorCall) -> Any:
    """An entry of minus infinity makes NaN of its row: the sum holds 0 * minus infinity."""
    x = call.inputs["input"]
    holes = np.isneginf(x).any(axis=call.attributes["axis"], keepdims=True)
    return {
        name: np.where(holes, np.asarray(np.nan, y.dtype), y) for name, y in honest(call).items()
    }


@mutant(LOG_SOFTMAX, kills=("SOFTMAX-003", "SOFTMAX-006"), bug="generic")
def log_softmax_without_the_maximum(_: Honest, call: OperatorCall) -> Any:
    """The row's maximum is not subtracted before the exponentials."""
    x, axis = call.inputs["input"], call.attributes["axis"]
    with np.errstate(all="ignore"):
        y = x - np.log(np.exp(x).sum(axis=axis, keepdims=True))
    return {"output": y.astype(x.dtype)}
