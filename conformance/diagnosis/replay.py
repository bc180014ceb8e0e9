"""What explains a failing check: the check is run again, with each fault in the candidate's place.

A check is a plain function of its inputs and of what it asks. So its counterexample can be given to
every mutant that could fail it, and what was answered compared with what the candidate answers.
Where the two agree to within rounding the mutant's fault is the cause. Mutants compute in fp64, so
that they add no rounding; in the candidate's own type where that explains nothing, since a fault
may be that a type's range is left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import candidate as candidates
from conformance import catalogue, evidence, models, spec
from conformance.checked import (
    CheckedEncoder,
    CheckedEncoderDecoder,
    CheckedModel,
    CheckedOperators,
    CheckedSampler,
    CheckedTokenizer,
)
from conformance.errors import ConformanceError
from conformance.explanation import mutants_killed
from conformance.mutants import all_mutants
from conformance.records import Diagnosis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from conformance.candidate import Candidate, Model
    from conformance.catalogue import Check
    from conformance.evidence import Answer
    from conformance.mutants import Mutant

    _Model = CheckedModel | CheckedEncoder | CheckedEncoderDecoder
    from conformance.package import ModelPackage
    from conformance.records import CaseResult, Contract, OperatorCall
    from conformance.subject import Subject

_WITHIN = 2.0
"""Bounds, or largest noise, by which a candidate may be off from a fault's exact answer."""
_WIDE = "float64"


def diagnose(subject: Subject, case: CaseResult, inputs: Mapping[str, Any]) -> Diagnosis | None:
    """Return the faults that make a check's inputs come out as they did; None where none does."""
    check, parameters = _check_of(case)
    run = functools.partial(_answers, check, {**parameters, **inputs})
    seen = run(_fixtures(subject, case))
    if not seen or _distance(seen, _in_place(subject, case, "", run, _WIDE)) <= _WITHIN:
        return None
    bounded = {"operators", "sampler", "tokenizer"} & set(check.arguments())
    unit = "bounds" if bounded else "times the largest honest noise"
    for dtype in dict.fromkeys((_WIDE, subject.contract.output)):
        found = []
        for mutant in _suspects(case.requirement):
            distance = _distance(seen, _in_place(subject, case, mutant.name, run, dtype))
            if distance <= _WITHIN:
                found.append((distance, mutant))
        if found:
            return _told(case, sorted(found, key=lambda pair: pair[0]), unit)
    return None


def _told(case: CaseResult, found: Sequence[tuple[float, Mutant]], unit: str) -> Diagnosis:
    distance, first = found[0]
    text = f"answers equal those of {first.name!r} to {distance:.3g} {unit}: {first.summary}"
    if found[1:]:
        names = ", ".join(repr(mutant.name) for _, mutant in found[1:])
        text += f" These inputs cannot tell it from {names}"
    causes = tuple(mutant.name for _, mutant in found)
    return Diagnosis(case.requirement, case.id, causes, distance, unit, text)


def _check_of(case: CaseResult) -> tuple[Check, dict[str, Any]]:
    """Return the check of a case with the values of its parameters."""
    name, *rest = case.id.split("/")
    (check,) = [c for c in catalogue.deciding(case.requirement) if c.name == name]
    model = rest[:1] if check.per_model else []
    ids = check.cases(model or [""])
    return check, check.parametrisations()[ids.index(case.id)]


def _suspects(requirement: str) -> list[Mutant]:
    """Return the mutants that could fail a requirement's checks and can be run in fp64."""
    operator = spec.load().requirements[requirement].operator
    if operator is None:
        return [m for m in mutants_killed(requirement) if m.replaces not in ("graph", "info")]
    name = f"operator {operator.partition('-')[0]}"
    return [m for m in all_mutants().values() if m.replaces == name and not m.equivalent]


def _fixtures(subject: Subject, case: CaseResult) -> dict[str, Any]:
    named = {
        "operators": subject.operators,
        "sampler": subject.sampler,
        "tokenizer": subject.tokenizer,
        "candidate": subject.info,
    }
    model = next((subject.models[p] for p in case.id.split("/") if p in subject.models), None)
    return named if model is None else {**named, "model": model}


def _in_place(
    subject: Subject,
    case: CaseResult,
    fault: str,
    run: Callable[[dict[str, Any]], list[Answer]],
    dtype: str,
) -> list[Answer]:
    """Return what is answered with a fault, or none, in the candidate's place, in some type."""
    fixtures = _fixtures(subject, case)
    contract = dataclasses.replace(subject.contract, output=dtype)
    with candidates.open_candidate(f"mutant:{fault}?dtype={dtype}") as faulty:
        own = _Widened(faulty) if dtype == _WIDE else faulty
        fixtures["operators"] = CheckedOperators(own, contract)
        fixtures["sampler"] = CheckedSampler(faulty, faulty.info.claims.sampling)
        fixtures["tokenizer"] = CheckedTokenizer(faulty, faulty.info.claims)
        if "model" in fixtures:
            fixtures["model"] = _with(faulty, fixtures["model"], contract)
        return run(fixtures)


def _with(faulty: Candidate, model: _Model, contract: Contract) -> _Model:
    package = models.rounded(model.package, model.contract.weight)
    if isinstance(model, CheckedEncoder | CheckedEncoderDecoder):
        return model.placed(faulty.load, package, contract)
    return CheckedModel(
        load=faulty.load,
        package=package,
        oracle=model.oracle,
        contract=contract,
        measure_noise=lambda: model.ensemble,
        measure_types=lambda: model.type_noise,
    )


class _Widened:
    """A candidate's operators, given the same numbers in fp64."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate

        self.info = candidate.info

    def load(self, package: ModelPackage) -> Model:
        """Load a model; it is given no wider numbers."""
        model: Model = self._candidate.load(package)
        return model

    def operator(self, call: OperatorCall) -> dict[str, Any]:
        """Compute one operator in fp64."""
        wide = {
            name: array if array.dtype.kind in "iub" else array.astype(np.float64)
            for name, array in call.inputs.items()
        }
        return self._candidate.operator(dataclasses.replace(call, inputs=wide))


def _answers(
    check: Check, arguments: Mapping[str, Any], fixtures: Mapping[str, Any]
) -> list[Answer]:
    """Run a check to its end or its first failure, and return what was answered until then."""
    wanted = {n: v for n, v in {**fixtures, **arguments}.items() if n in check.arguments()}
    with evidence.collect(answers=True) as sink:
        # What the check fails on is among the answers.
        with contextlib.suppress(ConformanceError, ValueError, TypeError, ArithmeticError):
            check.original(**wanted)
        return sink.answers or []


def _distance(seen: Sequence[Answer], others: Sequence[Answer]) -> float:
    """Return the largest difference of answers, each in the scale of its error; inf where none."""
    worst = -math.inf
    for one, other in zip(seen, others, strict=False):
        if one.array.shape != other.array.shape:
            return math.inf
        worst = max(worst, _apart(one, other))
    return worst if worst >= 0 and len(others) >= len(seen) else math.inf


def _apart(one: Answer, other: Answer) -> float:
    a, b = (x.array.astype(np.float64) for x in (one, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        ratio = error / np.maximum(one.scale(b), np.finfo(np.float64).tiny)
    worst = float(np.max(ratio, initial=0.0))
    return math.inf if math.isnan(worst) else worst
