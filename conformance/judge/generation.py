"""Continuations against the exact model: which tokens, where they end, how probable they were."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.judge.end_to_end import budget, chances
from conformance.judge.noise import limit_of
from conformance.judge.settling import settle
from conformance.oracles.generation import wrong_endings
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from conformance.oracles.closed_form import Answer
    from conformance.oracles.generation import Choices, Forced
    from conformance.records import Continuation, Contract, GenerationRequest, NoiseUnit

    Array = NDArray[Any]

_CLEAR = 4.0
"""Deviations of a logit, at the most that the contract allows, from which on a margin is clear."""


def chosen_greedily(choices: Choices, unit: NoiseUnit, contract: Contract) -> None:
    """Demand that each added token is the most probable one behind those before it.

    Another is excused where the exact logits of the two are as near to each other as the noise
    could bridge: each may be off by ``noise_max`` units of the honest largest. As many tokens may
    be excused as honest noise would change, and of those with a clear margin as many as it would.
    """
    gaps_N = choices.gap_N / unit.max
    worst = int(np.argmax(gaps_N)) if gaps_N.size else 0
    spread = limit_of(contract.noise_rms, contract) * unit.rms
    every_N = np.ones(gaps_N.shape, bool)
    settle(
        Measurement(
            "gap of a chosen token",
            float(gaps_N[worst]) if gaps_N.size else math.nan,
            2 * limit_of(contract.noise_max, contract),
            "noise units",
            choices.where[worst] if gaps_N.size else "no token was added",
            gaps_N.size,
        ),
        _changed("changed tokens", choices, every_N, spread),
        _changed("changed clear tokens", choices, choices.margin_N > _CLEAR * spread, spread),
    )


def _changed(metric: str, choices: Choices, among_N: Array, spread: float) -> Measurement:
    """Return how many of some tokens are not the best, beside what noise would make of them."""
    observed = float((choices.gap_N[among_N] > 0).sum())
    allowed = float(budget(chances(choices.margin_N[among_N], spread)))
    return Measurement(metric, observed, allowed, "tokens", "", int(among_N.sum()))


def ends_as_asked(request: GenerationRequest, found: Sequence[Continuation]) -> None:
    """Demand that each row ends at its first end, and says which it was."""
    wrong = list(wrong_endings(request, found))
    where = wrong[0] if wrong else ""
    settle(Measurement("ends elsewhere", float(len(wrong)), 0.0, "rows", where, len(found)))


def same_logprobs(
    choices: Choices, found: Sequence[Continuation], unit: NoiseUnit, contract: Contract
) -> None:
    """Demand that each returned log-probability is the exact one, but for rounding noise.

    It is a logit less a mean of logits, each of which may be off by the noise, and the log-softmax
    has a bound of its own.
    """
    given = [value for one in found for value in one.logprobs or ()]
    observed_N = np.array(given, np.float64)
    allowed = 2 * limit_of(contract.noise_max, contract) * unit.max
    rho_N = np.abs(observed_N - choices.logprob_N) / (allowed + choices.bound_N)
    worst = int(np.argmax(rho_N)) if rho_N.size else 0  # finds NaN first
    settle(
        Measurement(
            "rho of a log-probability",
            float(rho_N[worst]) if rho_N.size else math.nan,
            1.0,
            "bounds",
            choices.where[worst] if rho_N.size else "no token was added",
            rho_N.size,
        )
    )


def same_logprobs_of_text(
    choices: Choices, found: Sequence[Continuation], unit: NoiseUnit, contract: Contract
) -> None:
    """Demand that returned log-probabilities are exact but for rounding noise, all together.

    What is the same for every token, a scale, a base, a temperature, is far below the largest error
    of one, and shows in the RMS of many. The logits may be off by the noise, and the log-softmax
    by its own bound.
    """
    given = [value for one in found for value in one.logprobs or ()]
    observed = _rms(np.array(given, np.float64) - choices.logprob_N)
    limit = limit_of(contract.noise_rms, contract) + _rms(choices.bound_N) / unit.rms
    settle(Measurement("rms", observed / unit.rms, limit, "noise units of text", "", len(given)))


def _rms(error_N: Array) -> float:
    return float(np.sqrt(np.mean(error_N * error_N))) if error_N.size else math.nan


def chosen_by_closed_form(batch: Forced, answer: Answer) -> None:
    """Demand that each added token has the largest logit that the closed form knows.

    Of several that are largest, to within the roundings that it allows, any is right.
    """
    wrong, where = 0, ""
    for row, place, token in batch.places:
        value_V, bound_V = answer.value_BTV[row, place], answer.bound_BTV[row, place]
        rivals = np.max(value_V - bound_V)
        if answer.defined_BT[row, place] and not value_V[token] + bound_V[token] >= rivals:
            wrong, where = wrong + 1, where or f"row {row}, behind token {place}"
    judged = sum(bool(answer.defined_BT[row, place]) for row, place, _ in batch.places)
    settle(Measurement("other tokens", float(wrong), 0.0, "tokens", where, judged))


def refused(answer: Sequence[Continuation] | None) -> None:
    """Demand that a request was refused, which is what None stands for."""
    settle(Measurement("answered", float(answer is not None), 0.0, "requests", "", 1))
