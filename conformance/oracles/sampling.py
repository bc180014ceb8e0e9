"""The distribution that a token is drawn from, step by step in fp64, with the error of float32.

Each step has a line in ``_STEPS``; a runtime declares which it has and in which order. Beside each
logit stands how far an implementation in float32 may be off, to first order, and beside the whole
whether every token that a limit keeps or drops is that far from its edge: where it is not, two
right implementations may differ, and nothing can be judged.

Shape letters: B rows, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conformance import precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from conformance.records import SamplingCall, SamplingParameters, SamplingPolicy

    Floats = NDArray[np.float64]

DTYPE = "float32"
"""Distributions are computed in it or wider, whatever the type of the model."""
_U = precision.unit_roundoff(DTYPE)
_TINY = float(np.finfo(np.float32).smallest_normal)
_CLEAR = 4.0
"""How many error bounds a token has to be away from the edge of a limit."""
_FUNCTIONS = 6.0
"""Roundings of a softmax beside those of its sum: exponential and division, with some to spare."""


@dataclass(frozen=True, slots=True)
class Distributions:
    """What B rows are drawn from.

    Attributes:
        value_BV: probabilities, 0 for what is never drawn.
        bound_BV: how far float32 may be off; 0 demands equality.
        decided: whether every token is clear of the edge of every limit.
    """

    value_BV: Floats
    bound_BV: Floats
    decided: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """One row between two steps."""

    z_V: Floats
    """Logits, minus infinity for a token that was dropped."""
    error_V: Floats
    request: SamplingParameters
    counts: dict[str, NDArray[np.int64]]
    """How often each token was seen, (V,), by the step that asks."""
    ties: str
    limits: int = 0
    """How many limits were applied: each may have added the shares up anew."""
    decided: bool = True


def distributions(call: SamplingCall, policy: SamplingPolicy) -> Distributions:
    """Return the distributions of all rows of a call under a policy."""
    rows = [_distribution(call, row, policy) for row in range(len(call.parameters))]
    values, bounds, decided = zip(*rows, strict=True)
    return Distributions(np.stack(values), np.stack(bounds), all(decided))


def _distribution(
    call: SamplingCall, index: int, policy: SamplingPolicy
) -> tuple[Floats, Floats, bool]:
    z_V = call.logits_BV[index].astype(np.float64)
    counts = _counts(call.prompts[index], call.generated[index], len(z_V), policy)
    row = _Row(z_V, np.zeros_like(z_V), call.parameters[index], counts, policy.top_k_ties)
    for step in policy.order:
        if row.request.temperature == 0 and step == "temperature":
            continue
        row = _STEPS[step](row)
    return _greedy(row) if row.request.temperature == 0 else _softmax_of(row)


def _counts(
    prompt: Sequence[int], generated: Sequence[int], size: int, policy: SamplingPolicy
) -> dict[str, NDArray[np.int64]]:
    """Return how often each token was seen, as the repetition and the other penalties count."""

    def count(sees: str) -> NDArray[np.int64]:
        counted = [sees == "all"] * len(prompt) + [True] * len(generated)
        last = list(zip([*prompt, *generated], counted, strict=True))[-policy.last_tokens :]
        seen = np.array([token for token, counts in last if counts], np.int64)
        return np.bincount(seen, minlength=size)

    others = count(policy.presence_sees)
    return {"repetition": count(policy.repetition_sees), "presence": others, "frequency": others}


def _bias(row: _Row) -> _Row:
    added_V = np.zeros_like(row.z_V)
    for token, bias in row.request.logit_bias:
        added_V[token] += bias
    return _moved(row, row.z_V + added_V, row.error_V, added_V)


def _repetition(row: _Row) -> _Row:
    penalty = row.request.repetition_penalty
    factor_V = np.where(row.z_V > 0, 1 / penalty, penalty)
    factor_V = np.where(row.counts["repetition"] > 0, factor_V, 1.0)
    z_V = row.z_V * factor_V
    return _moved(row, z_V, row.error_V * factor_V, np.where(factor_V != 1, z_V, 0.0))


def _presence(row: _Row) -> _Row:
    taken_V = np.float64(row.request.presence_penalty) * (row.counts["presence"] > 0)
    return _moved(row, row.z_V - taken_V, row.error_V, taken_V)


def _frequency(row: _Row) -> _Row:
    taken_V = np.float64(row.request.frequency_penalty) * row.counts["frequency"]
    return _moved(row, row.z_V - taken_V, row.error_V, 2 * taken_V)


def _temperature(row: _Row) -> _Row:
    z_V = row.z_V / row.request.temperature
    return _moved(row, z_V, row.error_V / row.request.temperature, z_V)


def _moved(row: _Row, z_V: Floats, error_V: Floats, rounded_V: Floats) -> _Row:
    """Return a row of new logits; the parameter was rounded, and so is the result.

    A token that does not take part in a step (``rounded_V`` 0) is not rounded again.
    """
    finite_V = np.where(np.isfinite(z_V), np.abs(z_V), 0.0)
    part_V = np.where(np.isfinite(rounded_V), np.abs(rounded_V), 0.0)
    more_V = _U * (part_V + np.where(part_V > 0, finite_V, 0.0))
    return dataclasses.replace(row, z_V=z_V, error_V=error_V + more_V)


def _top_k(row: _Row) -> _Row:
    k, there = row.request.top_k, int(np.isfinite(row.z_V).sum())
    if not 0 < k < there:
        return row
    order_V = _descending(row.z_V)
    last, edge = row.z_V[order_V[k - 1]], row.z_V[order_V]
    kept_V = row.z_V > last
    equal = order_V[edge == last]  # in order of their ids
    kept_V[equal if row.ties == "all" else equal[: k - int(kept_V.sum())]] = True
    apart_V = np.where(edge == last, np.inf, np.abs(edge - last))
    room_V = _CLEAR * (row.error_V[order_V] + row.error_V[order_V[k - 1]])
    return _limited(row, kept_V, clear=bool((apart_V > room_V).all()))


def _top_p(row: _Row) -> _Row:
    if row.request.top_p >= 1:
        return row
    p_V, relative_V = _softmax(row)
    order_V = _descending(p_V)
    reached_V = np.cumsum(p_V[order_V])
    kept = int(np.argmax(reached_V >= row.request.top_p)) + 1
    edge_V = np.abs(reached_V[:kept] - row.request.top_p)
    room = _CLEAR * (float(p_V @ relative_V) + precision.accumulation(len(p_V), _U) + _U)
    z_V = row.z_V[order_V]
    # Two tokens as probable as each other at the edge: either may be the one that stays.
    tied = kept < len(z_V) and not z_V[kept - 1] > z_V[kept] + room
    kept_V = np.zeros(len(p_V), np.bool_)
    kept_V[order_V[:kept]] = True
    return _limited(row, kept_V, clear=bool((edge_V > room).all()) and not tied)


def _min_p(row: _Row) -> _Row:
    if row.request.min_p <= 0:
        return row
    highest = int(np.argmax(row.z_V))
    above_V = row.z_V - row.z_V[highest] - np.log(row.request.min_p)
    room_V = _CLEAR * (row.error_V + row.error_V[highest] + _FUNCTIONS * _U)
    clear_V = (np.abs(above_V) > room_V) | ~np.isfinite(above_V)
    return _limited(row, above_V >= 0, clear=bool(clear_V.all()))


def _limited(row: _Row, kept_V: NDArray[np.bool_], *, clear: bool) -> _Row:
    return dataclasses.replace(
        row,
        z_V=np.where(kept_V, row.z_V, -np.inf),
        limits=row.limits + 1,
        decided=row.decided and clear,
    )


def _descending(values_V: Floats) -> NDArray[np.int64]:
    """Return ids by value, the largest first; of equals, the lowest id first."""
    return np.argsort(-values_V, kind="stable")


def _softmax(row: _Row) -> tuple[Floats, Floats]:
    """Return the shares and their relative errors in float32, both (V,).

    Of p = exp(z - m) / sum: an error of z moves p by its own share and by the mean of all, and the
    distance to the maximum, the exponential, the sum and the division are rounded.
    """
    below_V = row.z_V - row.z_V.max()
    weight_V = np.exp(below_V)
    p_V = weight_V / weight_V.sum()
    there_V = np.isfinite(row.z_V)
    own_V = np.where(there_V, row.error_V + _U * -np.where(there_V, below_V, 0.0), 0.0)
    once = precision.accumulation(int(there_V.sum()), _U) + _FUNCTIONS * _U
    return p_V, own_V + float(p_V @ own_V) + (row.limits + 1) * once


def _softmax_of(row: _Row) -> tuple[Floats, Floats, bool]:
    p_V, relative_V = _softmax(row)
    bound_V = np.where(p_V > 0, p_V * np.expm1(relative_V) + _TINY, 0.0)
    return p_V, bound_V, row.decided


def _greedy(row: _Row) -> tuple[Floats, Floats, bool]:
    """Return all for the most probable token, by the logits that the other steps have made."""
    first, second = _descending(row.z_V)[:2]
    p_V = np.zeros_like(row.z_V)
    p_V[first] = 1.0
    room = _CLEAR * (row.error_V[first] + row.error_V[second])
    return p_V, np.zeros_like(p_V), bool(row.z_V[first] - row.z_V[second] > room)


_STEPS: dict[str, Callable[[_Row], _Row]] = {
    "logit_bias": _bias,
    "repetition": _repetition,
    "presence": _presence,
    "frequency": _frequency,
    "temperature": _temperature,
    "top_k": _top_k,
    "top_p": _top_p,
    "min_p": _min_p,
}
