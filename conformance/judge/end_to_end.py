"""A model's answer to the frozen corpus, held against what honest implementations answer to it.

Each rule compares a statistic of the candidate with the same statistic of the honest ensemble. What
grows with the square of the error is allowed the square of the contract's limit in noise units.
Shape letters: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence, fingerprint
from conformance.errors import Nonconformity, SpecError
from conformance.judge.noise import limit_of
from conformance.judge.settling import settle
from conformance.oracles import comparison as statistics
from conformance.oracles.matched_filter import SURE
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.faults import Presence
    from conformance.oracles.comparison import Comparison
    from conformance.oracles.corpus import Corpus
    from conformance.oracles.ensemble import Noise
    from conformance.records import Contract

    Array = NDArray[Any]

_TOP = 5
"""Tokens of a ranking that are looked at, as top-k sampling would."""
_HALF = 0.5
"""Share of a known fault from which on it counts as present."""
_FALSE_ALARM = 1e-6
"""Chance that honest ties alone exceed the number of changed top tokens that is allowed."""


def same_distribution(answer: Comparison, noise: Noise, contract: Contract) -> None:
    """Demand that the KL divergence from the exact distribution is rounding noise."""
    unit, count = "honest divergences", answer.divergence_N.size
    mean = answer.divergence / noise.divergence
    largest = float(np.max(answer.divergence_N)) / noise.largest_divergence
    where = f"token {int(np.argmax(answer.divergence_N))} of those judged"
    allowed = limit_of(contract.noise_rms, contract) ** 2
    allowed_once = limit_of(contract.noise_max, contract) ** 2
    settle(
        Measurement("mean KL", mean, allowed, unit, "", count),
        Measurement("largest KL", largest, allowed_once, unit, where, count),
    )


def same_loss(answer: Comparison, noise: Noise) -> None:
    """Demand that the mean loss of the tokens that follow is the exact one but for rounding noise.

    It may differ by what an honest member's does, and by five of that member's standard errors.
    """
    count = int((~np.isnan(answer.loss_N)).sum())
    settle(Measurement("mean loss", abs(answer.loss), noise.loss, "nats", "", count))


def same_gain(answer: Comparison, noise: Noise) -> None:
    """Demand that logits are neither stretched nor shrunk: a temperature, a scale, a cap.

    The error's share of the exact logits is estimated by the matched filter, and may be what honest
    errors hold of them.
    """
    allowed = noise.gain.reach + SURE * answer.gain.error
    observed = abs(answer.gain.value)
    settle(Measurement("gain", observed, allowed, "of the logits", "", answer.gain.tokens))


def same_ranking(
    observed_BTV: Array, expected_BTV: Array, corpus: Corpus, noise: Noise, contract: Contract
) -> None:
    """Demand that the most probable tokens are the exact ones, but for ties within the noise.

    A token that has taken another's place is excused where the exact logits of the two are as near
    to each other as the noise at that place could bridge: each may be off by ``noise_max`` times
    what any honest member was. As many changed top tokens are allowed as honest noise would make.
    """
    reach = limit_of(contract.noise_max, contract)
    spread = limit_of(contract.noise_rms, contract) * noise.unit.rms
    gaps, margins, changed = [], [], 0
    rows = statistics.judged(observed_BTV, expected_BTV, corpus)
    for (_, observed_V, expected_V), scale in zip(rows, noise.scale_N, strict=True):
        top = np.sort(np.partition(expected_V, -_TOP)[-_TOP:])[::-1]
        chosen = np.argpartition(observed_V, -_TOP)[-_TOP:]
        first = int(np.argmax(observed_V))
        gap = max(top[0] - expected_V[first], top[-1] - expected_V[chosen].min(), 0.0)
        gaps.append(math.nan if np.isnan(observed_V).any() else gap / scale)
        margins.append(top[0] - top[1])
        changed += bool(expected_V[first] < top[0])
    worst = int(np.argmax(gaps))  # finds NaN first
    count = len(gaps)
    settle(
        Measurement(
            "gap of a changed rank",
            float(gaps[worst]),
            2 * reach,
            "of the noise there",
            f"token {worst} of those judged",
            count,
        ),
        Measurement(
            "changed top tokens",
            float(changed),
            float(budget(chances(np.array(margins), spread))),
            "tokens",
            "",
            count,
        ),
    )


def chances(margins_N: Array, deviation: float) -> float:
    """Return how many top tokens honest noise changes on average: the sum of their chances.

    Two logits of independent normal errors change places with the chance that their difference,
    of sqrt(2) deviations, exceeds the margin.
    """
    return sum(0.5 * math.erfc(margin / (2 * deviation)) for margin in margins_N)


def budget(mean: float) -> int:
    """Return how many top tokens honest noise may change: a Poisson bound on the sum of chances."""
    count, term = 0, math.exp(-mean)
    tail = 1 - term
    while tail > _FALSE_ALARM:
        count += 1
        term *= mean / count
        tail -= term
    return count


def in_its_type(answer: Comparison, noise: Mapping[str, float], contract: Contract) -> None:
    """Demand that the error is below the noise of every type that is narrower than the claimed one.

    What an error is as large as tells in which type a candidate really computes; the words of a
    failure say it. Each precision's figure is recorded, so that a report can draw them: those of
    types that are wider than the claimed one, or as wide, have no limit.

    Args:
        answer: the candidate's answer to the frozen corpus.
        noise: RMS error of honest implementations by precision, the widest first.
        contract: the claimed precision.
    """
    narrower = {name for name, rms in noise.items() if rms > 2 * noise[contract.name]}
    limits = {name: fingerprint.HALF if name in narrower else math.inf for name in noise}
    limits[contract.name] = limit_of(contract.noise_rms, contract)
    units = {name: answer.rms / rms for name, rms in noise.items()}
    measured = [
        Measurement(
            fingerprint.METRIC + name, units[name], limit, "of it", "", answer.square_N.size
        )
        for name, limit in limits.items()
    ]
    for measurement in measured:
        evidence.record(measurement)
    failed = [m for m in measured if not m.observed <= m.limit]
    if failed:
        raise Nonconformity(failed[-1], fingerprint.told(units, contract.name))


def free_of_faults(presences: Sequence[Presence]) -> None:
    """Demand that no known fault is present at half of its strength or more.

    A fault that rounding hides at this precision is not judged: it is noted, with the number of
    tokens that would resolve it.
    """
    resolved = [one for one in presences if one.resolved]
    for one in presences:
        if not one.resolved:
            evidence.note(one.unresolved)
    tokens = sum(one.strength.tokens for one in resolved)
    strongest = max(resolved, key=_strength, default=None)
    if strongest is None:
        raise SpecError("not one known fault can be told from rounding on this model")
    settle(
        Measurement(
            "strength",
            max(strongest.strength.value, 0.0),
            _HALF,
            "of a fault",
            strongest.mutant.name,
            tokens,
        )
    )


def _strength(presence: Presence) -> float:
    """Return the strength, NaN as the largest."""
    value = presence.strength.value
    return math.inf if math.isnan(value) else value
