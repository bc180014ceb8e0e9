"""What explains wrong logits on the frozen corpus.

Distances are RMS errors in noise units: an honest candidate of a fault is as far from the fault's
exact output as honest candidates are from the exact output. Shape letters: N judged tokens, V
vocabulary.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import faults, models
from conformance.diagnosis import symptoms
from conformance.diagnosis.laboratory import Laboratory
from conformance.diagnosis.scene import Scene
from conformance.mutants import all_mutants
from conformance.oracles.matched_filter import SURE, strength
from conformance.records import Diagnosis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel
    from conformance.mutants import Mutant
    from conformance.records import CaseResult

    Array = NDArray[Any]

_PAIRED = 10
"""Faults, the nearest ones, of which pairs are tried."""
_STEPS = 12
"""Newton steps towards a parameter's value."""
_MOST = 0.35
"""Share of the RMS error that may be left where one fault explains most of it: an eighth of the
squared error. Between the suite's mutants, no wrong one leaves less than 0.8."""
_AS_WELL = 1.1
"""Factor within which two faults explain as much."""
_LARGEST = 100_000_000
"""Parameters of a model on which faults are tried: in hundreds of passes, weights in memory."""
_ANSWERS = 16 << 30
"""Bytes that all the faults' answers may take."""
_PROBE = 1e-4
"""Relative change of a parameter that shows the direction of its effect."""


@dataclass(frozen=True)
class Known:
    """A fault with what it makes of the corpus, and how far the candidate is from that."""

    mutant: Mutant
    logits_NV: Array
    distance: float


def diagnose(model: CheckedModel, case: CaseResult) -> Diagnosis | None:
    """Return what explains a model's answer to the frozen corpus; None where it is right."""
    corpus, judged_BT = model.corpus, model.corpus.judged_BT
    limit = model.contract.noise_rms
    assert limit is not None
    scene = Scene(
        model.answer_BTV[judged_BT].astype(np.float64),
        model.exact_BTV[judged_BT],
        model.noise.rms,
        limit,
    )
    if not np.isfinite(scene.observed_NV).all():
        return _told(case, (), math.nan, symptoms.not_finite(model.answer_BTV, corpus))
    if scene.distance(scene.exact_NV) <= limit:
        return None
    if too_large := _too_large(model, scene):
        return _told(case, (), math.nan, symptoms.of_logits(scene, corpus, {}, too_large))
    exact = models.rounded(model.package, model.contract.weight)
    laboratory = Laboratory(exact, corpus)
    known = measured(scene, laboratory.effects())
    return (
        _one_fault(scene, known, case)
        or _parameter(scene, laboratory, case)
        or _two_faults(scene, laboratory, known, case)
        or _mostly_one(scene, known, case)
        or _told(case, (), math.nan, symptoms.of_logits(scene, corpus, model.type_noise))
    )


def _too_large(model: CheckedModel, scene: Scene) -> str:
    """Return why known faults are not tried on a model; empty where they are."""
    parameters = sum(array.size for array in model.package.weights().values())
    answers = len(faults.of_the_decoder()) * scene.exact_NV.nbytes
    if parameters <= _LARGEST and answers <= _ANSWERS:
        return ""
    return (
        f"known faults were not tried, since the model is large ({parameters:.3g} parameters, "
        f"{answers / 1e9:.3g} GB of answers): PKG-002 and PKG-003 compare an ONNX build with the "
        "package directly"
    )


def measured(scene: Scene, effects: Iterable[tuple[Mutant, Array]]) -> list[Known]:
    """Return the known faults, the nearest to the candidate first."""
    found = [Known(mutant, y_NV, scene.distance(y_NV)) for mutant, y_NV in effects]
    return sorted(found, key=lambda one: one.distance)


def nearest(scene: Scene, known: Sequence[Known]) -> list[Known]:
    """Return the fault that explains the candidate, and those that cannot be told from it."""
    if not known or known[0].distance > scene.limit:
        return []
    best = known[0]
    return [best, *(k for k in known[1:] if _alike(scene, best, k))]


def foremost(scene: Scene, known: Sequence[Known]) -> list[Known]:
    """Return the fault that explains most of the error though not all, and those that do as well.

    Faults of rounding are like that: where a number lies near the border of two roundings, the
    candidate's falls on the other side than the exact one.
    """
    whole = scene.distance(scene.exact_NV)
    if not known or known[0].distance > _MOST * whole:
        return []
    return [k for k in known if k.distance <= known[0].distance * _AS_WELL]


def _alike(scene: Scene, best: Known, other: Known) -> bool:
    """Return whether the candidate may as well have the other fault as the best."""
    if other.distance > scene.limit:
        return False
    direction_NV = other.logits_NV - best.logits_NV
    if np.abs(direction_NV).max() < scene.unit * 1e-3:
        return True
    step = strength(scene.observed_NV - best.logits_NV, direction_NV)
    return not step.value + SURE * step.error < 1


def _one_fault(scene: Scene, known: Sequence[Known], case: CaseResult) -> Diagnosis | None:
    found = nearest(scene, known)
    if not found:
        return None
    first, others = found[0], found[1:]
    text = (
        f"output equals the reference with {first.mutant.name!r} to {first.distance:.3g} noise "
        f"units: {first.mutant.summary}"
    )
    if others:
        names = ", ".join(repr(k.mutant.name) for k in others)
        text += f" These inputs cannot tell it from {names}"
    return _told(case, tuple(k.mutant.name for k in found), first.distance, text)


def _mostly_one(scene: Scene, known: Sequence[Known], case: CaseResult) -> Diagnosis | None:
    found = foremost(scene, known)
    if not found:
        return None
    first = found[0]
    share = 1 - (first.distance / scene.distance(scene.exact_NV)) ** 2
    names = " or ".join(repr(k.mutant.name) for k in found)
    text = (
        f"{share:.4g} of the squared error is that of {names}: {first.mutant.summary} The rest, "
        f"{first.distance:.3g} noise units, is not explained"
    )
    return _told(case, tuple(k.mutant.name for k in found), first.distance, text)


def _parameter(scene: Scene, laboratory: Laboratory, case: CaseResult) -> Diagnosis | None:
    """Return the number of the configuration that explains the candidate, by Newton's method."""
    for name, honest in laboratory.parameters().items():
        value = honest
        for _ in range(_STEPS):
            here_NV = laboratory.with_parameter(name, value)
            there_NV = laboratory.with_parameter(name, value * (1 + _PROBE))
            if here_NV is None or there_NV is None:
                break
            slope_NV = (there_NV - here_NV) / _PROBE
            if not np.isfinite(slope_NV).all() or not np.abs(slope_NV).max() > 0:
                break
            step = strength(scene.observed_NV - here_NV, slope_NV)
            distance = scene.distance(here_NV)
            if distance <= scene.limit and abs(step.value) <= SURE * step.error:
                spread = SURE * step.error * value
                text = (
                    f"output equals the reference with {name} {value:.6g} (± {spread:.1g}) in "
                    f"place of {honest:.6g}, to {distance:.3g} noise units"
                )
                return _told(case, (f"parameter-{name}",), distance, text)
            value *= math.exp(max(-1.0, min(1.0, step.value)))
    return None


def _two_faults(
    scene: Scene, laboratory: Laboratory, known: Sequence[Known], case: CaseResult
) -> Diagnosis | None:
    best: tuple[float, Mutant, Mutant] | None = None
    for one, other in itertools.permutations([k.mutant for k in known[:_PAIRED]], 2):
        logits_NV = laboratory.with_both(one, other)
        if logits_NV is None or logits_NV.shape != scene.exact_NV.shape:
            continue
        distance = scene.distance(logits_NV)
        if distance <= scene.limit and (best is None or distance < best[0]):
            best = distance, one, other
    if best is None:
        return None
    distance, one, other = best
    text = (
        f"output equals the reference with both {one.name!r} and {other.name!r} to {distance:.3g} "
        f"noise units: {one.summary} {other.summary}"
    )
    return _told(case, (one.name, other.name), distance, text)


def _told(case: CaseResult, causes: tuple[str, ...], distance: float, text: str) -> Diagnosis:
    return Diagnosis(case.requirement, case.id, causes, distance, "noise units", text)


def explained_by(diagnosis: Diagnosis) -> set[str]:
    """Return the requirements whose failures need no diagnosis of their own beside this one."""
    from conformance.diagnosis import ON_THE_CORPUS  # noqa: PLC0415  # the package imports this

    explained = set(ON_THE_CORPUS) if diagnosis.requirement in ON_THE_CORPUS else set()
    known = all_mutants()
    for name in diagnosis.causes:
        if name in known:
            explained |= set(known[name].kills)
    return explained
