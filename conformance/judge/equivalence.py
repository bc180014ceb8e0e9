"""Two candidates: each against the exact answer, and each against the other, by the sum of both.

A candidate is never judged by another alone. Two that are each within their bound differ by no more
than the sum of the bounds (the triangle inequality), so what the difference adds is who moved. Only
the number of changed decisions can refute two that would each pass: their budget is one, and not
the sum of two. Shape letters: B batch, T tokens, N judged tokens, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import Nonconformity
from conformance.judge.end_to_end import budget, chances
from conformance.judge.noise import errors_of, limit_of
from conformance.judge.settling import settle
from conformance.judge.values import rho_of
from conformance.oracles import comparison as statistics
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.oracles.corpus import Corpus
    from conformance.oracles.standard import Expected
    from conformance.records import Contract, NoiseUnit

    Array = NDArray[Any]

_PLACES = ("first", "second")


@dataclass(frozen=True, slots=True)
class Side:
    """What one of two candidates answered, and what it is held against."""

    name: str
    """The candidate's, as it was written on the command line."""
    observed: Array
    expected: Array
    """In fp64; another for each contract, since weights are rounded to the contract's type."""
    unit: NoiseUnit
    contract: Contract
    scale_N: Sequence[float] = ()
    """Largest error of any honest implementation at each judged token."""


def both_within_noise(
    sides: tuple[Side, Side], judged: Array | None = None, name: str = "logits"
) -> None:
    """Demand rounding noise on a corpus of each of two, and of their difference: RMS and maximum.

    The difference is in the wider of the two noise units, and taken between the errors: what the
    contracts make of the weights is exact, and no error.

    Args:
        sides: the candidate's answer, and the second candidate's.
        judged: (B, T) mask of the positions that are judged; None judges all.
        name: what is judged, where it is not the logits.
    """
    rms = _apart(sides, judged, name, "rms")
    _settle(sides, [*rms, *_apart(sides, judged, name, "max")])


def both_max_within_noise(sides: tuple[Side, Side], judged: Array | None = None) -> None:
    """Demand the same of the largest errors alone: for inputs too few for an RMS."""
    _settle(sides, _apart(sides, judged, "logits", "max"))


def _apart(
    sides: tuple[Side, Side], judged: Array | None, name: str, metric: str
) -> list[Measurement]:
    """Return one metric of both sides and of their difference, in noise units."""
    found, allowed, units = [], 0.0, []
    for place, side in zip(_PLACES, sides, strict=True):
        noise = side.contract.noise_rms if metric == "rms" else side.contract.noise_max
        limit, unit = limit_of(noise, side.contract), getattr(side.unit, metric)
        error = errors_of(side.observed, side.expected, judged, name)
        size = error.rms if metric == "rms" else error.largest
        label = f"{metric} of the {place}"
        found.append(
            Measurement(label, size / unit, limit, "noise units", error.where, error.count)
        )
        allowed += limit * unit
        units.append(unit)
    apart = errors_of(sides[0].observed, _moved_to(*sides), judged, name)
    size, unit = (apart.rms if metric == "rms" else apart.largest), max(units)
    label = f"{metric} apart"
    difference = Measurement(
        label, size / unit, allowed / unit, "noise units", apart.where, apart.count
    )
    return [*found, difference]


def _moved_to(one: Side, other: Side) -> Array:
    """Return the second's answer, with the first's exact one in place of its own."""
    answered: Array = np.asarray(other.observed, dtype=np.float64)
    if one.expected is other.expected:
        return answered
    moved: Array = answered + (one.expected - other.expected)
    return moved


def both_within_bounds(
    names: tuple[str, str],
    outputs: tuple[Mapping[str, Array], Mapping[str, Array]],
    expected: tuple[Mapping[str, Expected], Mapping[str, Expected]],
) -> None:
    """Demand of two that each number is within its bound, and their difference within the sum.

    Args:
        names: the two candidates.
        outputs: what each answered, by formal name.
        expected: the oracle's values with their bounds, by the contract of each.
    """
    found: list[Measurement] = []
    for name, a in expected[0].items():
        b, (x, y) = expected[1][name], (answer[name] for answer in outputs)
        found += [
            _named("rho of the first", rho_of(name, x, a.value, a.bound)),
            _named("rho of the second", rho_of(name, y, b.value, b.bound)),
            _named("rho apart", _rho_apart(name, (x, y), (a, b))),
        ]
    _settle(tuple(_Named(name) for name in names), found)


def _rho_apart(
    name: str, answers: tuple[Array, Array], exact: tuple[Expected, Expected]
) -> Measurement:
    """Return the largest ratio of a difference to the sum of both bounds.

    What is infinite or NaN has no difference; each side is held to it by itself.
    """
    x, y = (answer.astype(np.float64) for answer in answers)
    a, b = exact
    finite = np.isfinite(a.value) & np.isfinite(b.value)
    with np.errstate(invalid="ignore"):
        moved = np.where(finite, y + (a.value - b.value), 0.0)
    return rho_of(name, np.where(finite, x, 0.0), moved, np.where(finite, a.bound + b.bound, 0.0))


@dataclass(frozen=True, slots=True)
class _Named:
    name: str


def _named(metric: str, m: Measurement) -> Measurement:
    return Measurement(metric, m.observed, m.limit, m.unit, m.where, m.count)


def same_decisions(sides: tuple[Side, Side], corpus: Corpus) -> None:
    """Demand that two choose the same tokens greedily, but for ties that their noise can break.

    Where they choose differently, whoever chose the less probable token is excused by as much of
    its own noise as ``same_ranking`` grants it. Ties that both break honestly are few: as many
    different choices are allowed as the noise of the two would make.
    """
    rows = (statistics.judged(s.observed, s.expected, corpus) for s in sides)
    gaps: tuple[list[float], list[float]] = ([], [])
    margins: tuple[list[float], list[float]] = ([], [])
    differ = 0
    for i, pair in enumerate(zip(*rows, strict=True)):
        chosen = [int(np.argmax(observed_V)) for _, observed_V, _ in pair]
        differ += chosen[0] != chosen[1]
        for k, (_, observed_V, expected_V) in enumerate(pair):
            lost = float(expected_V[chosen[1 - k]] - expected_V[chosen[k]])
            blind = bool(np.isnan(observed_V).any())
            gaps[k].append(np.nan if blind else max(lost, 0.0) / sides[k].scale_N[i])
            top = np.partition(expected_V, -2)[-2:]
            margins[k].append(float(top[1] - top[0]))
    found = [_gap(side, gaps[k], _PLACES[k]) for k, side in enumerate(sides)]
    mean = sum(chances(np.array(margins[k]), _spread(side)) for k, side in enumerate(sides))
    allowed = float(budget(mean))
    found.append(
        Measurement("different choices", float(differ), allowed, "tokens", "", len(gaps[0]))
    )
    _settle(sides, found)


def _gap(side: Side, gaps: list[float], place: str) -> Measurement:
    worst = int(np.argmax(gaps))  # finds NaN first
    limit = 2 * limit_of(side.contract.noise_max, side.contract)
    where = f"token {worst} of those judged"
    label = f"gap of a choice of the {place}"
    return Measurement(label, gaps[worst], limit, "times the noise there", where, len(gaps))


def _spread(side: Side) -> float:
    return limit_of(side.contract.noise_rms, side.contract) * side.unit.rms


def _settle(sides: Sequence[Side | _Named], measurements: Sequence[Measurement]) -> None:
    """Settle all measurements; what is raised says which of the two moved."""
    try:
        settle(*measurements)
    except Nonconformity as error:
        told = _attributed(error.measurement, sides, measurements)
        raise Nonconformity(error.measurement, told) from error


def _attributed(
    failed: Measurement, sides: Sequence[Side | _Named], measurements: Sequence[Measurement]
) -> str:
    """Return in words how far each is from the exact answer, and which of the two moved."""
    moved, told = [], []
    for place, side in zip(_PLACES, sides, strict=True):
        own = [m for m in measurements if m.metric.endswith(f"of the {place}")]
        beyond = [m for m in own if not m.ok]
        shown = (beyond or own)[0]
        figures = f"{shown.observed:.3g} {shown.unit} from the exact answer"
        told.append(f"{side.name} is {figures} (allowed {shown.limit:.3g})")
        moved += [side.name] * bool(beyond)
    who = {0: "neither moved by itself", 1: f"{moved[0] if moved else ''} moved", 2: "both moved"}
    apart = [m for m in measurements if m.metric.endswith("apart") and m.unit == failed.unit]
    first = f"they are {apart[0].observed:.3g} {apart[0].unit} apart; " if apart else ""
    return f"{first}{', '.join(told)}: {who[len(moved)]}"
