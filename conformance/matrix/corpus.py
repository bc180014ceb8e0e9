"""The frozen inputs of every check, and what the checks say of a candidate on them."""

from __future__ import annotations

import functools
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import catalogue, evidence, faults, inputs, kinds, models, spec
from conformance.checked import (
    CheckedEncoder,
    CheckedEncoderDecoder,
    CheckedModel,
    CheckedOperators,
    CheckedSampler,
    CheckedTokenizer,
    RememberedOracle,
    RememberedTruths,
)
from conformance.matrix.cells import Cell, folded
from conformance.oracles.closed_form import FORMS
from conformance.plan import unclaimed
from conformance.records import Measurement, Verdict
from conformance.verdicts import verdict_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from conformance.candidate import Candidate
    from conformance.catalogue import Check
    from conformance.oracles.ensemble import Noise
    from conformance.package import ModelPackage
    from conformance.records import Contract, Requirement

EXAMPLES = 8
"""Inputs of each case: enough that an honest candidate and a mutant are told apart."""
_SEED = 20261123
_KEEP = 1 << 16
"""Answers of an oracle that are kept: all of them."""


@dataclass(frozen=True)
class _Case:
    """A check with its fixtures' names, its parameters, and its frozen inputs."""

    check: Check
    model: str | None
    parameters: Mapping[str, Any]
    examples: Sequence[Mapping[str, Any]]


class Corpus:
    """The frozen inputs of every check, and the oracles' answers to them.

    Args:
        contract: the precision at which candidates are judged.
        names: the suite's models.
    """

    def __init__(self, contract: Contract, names: Sequence[str]) -> None:
        self.contract = contract
        # Copies, since a mutant may change the files of a package, and others read the cache.
        self._folder = Path(tempfile.mkdtemp(prefix="llm-conformance-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._answers = self._folder / "answers"
        self._answers.mkdir()
        self._originals = {name: models.suite_package(name).path for name in names}
        self.restore()
        self._packages = {name: models.open_package(self._folder / name, name) for name in names}
        self._oracles = {
            name: RememberedOracle(models.oracle(package, contract), _KEEP)
            for name, package in self._packages.items()
            if kinds.kind_of(package.config) == kinds.DECODER
        }
        self._noise: dict[tuple[str, str], Noise] = {}
        self._types: dict[str, Mapping[str, float]] = {}
        self._truths = RememberedTruths(contract, _KEEP)
        self._cases: dict[str, list[_Case]] = {}

    def judge(
        self,
        candidate: Candidate,
        requirements: Collection[Requirement],
        against: tuple[Candidate, Contract] | None = None,
        unbuilt: Collection[str] = (),
        *,
        far: Collection[str] = (),
        briefly: bool = False,
    ) -> list[Cell]:
        """Run the checks of some requirements on a candidate.

        Args:
            candidate: the candidate.
            requirements: those whose checks are run, where it claims what they need.
            against: an honest candidate with the contract that it claims, for requirements that are
                about two.
            unbuilt: models on which nothing is asked of the candidate.
            far: models on which a requirement is asked where it has failed on no other.
            briefly: whether a check that has failed on one model is done with. Verdicts are the
                same, since nothing undoes a failure; the worst measurement is that of the models
                that were tried.
        """
        fixtures = self._fixtures(candidate, self.contract)
        if against is not None:
            other = self._fixtures(*against, who="the honest one")
            fixtures |= {f"other_{name}": value for name, value in other.items()}
        with faults.remembered(self._answers):
            return [
                self._cell(requirement, fixtures, unbuilt, far, briefly=briefly)
                for requirement in requirements
                if self._is_asked(requirement, candidate, unbuilt)
            ]

    def restore(self) -> None:
        """Copy the packages again, where a candidate has changed their files."""
        for name, original in self._originals.items():
            shutil.copytree(original, self._folder / name, dirs_exist_ok=True)

    def _fixtures(self, candidate: Candidate, contract: Contract, who: str = "") -> dict[str, Any]:
        """Return what checks are given of a candidate; all its models as ``model``."""
        truths = self._truths if contract == self.contract else None
        return {
            "candidate": candidate.info,
            "operators": CheckedOperators(candidate, contract, truths, who),
            "sampler": CheckedSampler(candidate, candidate.info.claims.sampling),
            "tokenizer": CheckedTokenizer(candidate, candidate.info.claims),
            "model": {
                name: self._checked(candidate, package, contract, who)
                for name, package in self._packages.items()
            },
        }

    def _is_asked(
        self, requirement: Requirement, candidate: Candidate, unbuilt: Collection[str]
    ) -> bool:
        """Return whether a candidate claims what is needed, and a model is left to ask it on."""
        models = self._models_of(requirement.id)
        anywhere = not models or any(name not in unbuilt for name in models)
        return anywhere and not unclaimed(requirement, candidate.info.claims)

    def _cell(
        self,
        requirement: Requirement,
        fixtures: Mapping[str, Any],
        unbuilt: Collection[str],
        far: Collection[str],
        *,
        briefly: bool,
    ) -> Cell:
        found: list[tuple[str, Verdict, Measurement | None, str]] = []
        done: set[str] = set()
        cases = [c for c in self._cases_of(requirement.id, fixtures) if c.model not in unbuilt]
        for case in sorted(cases, key=lambda one: one.model in far):
            name = case.check.name
            if case.model in far and any(verdict is Verdict.FAIL for _, verdict, *_ in found):
                break
            if name in done:
                continue
            found.append((name, *_decide(case, _named(case, _on_model(fixtures, case.model)))))
            if briefly and case.model is not None and found[-1][1] is Verdict.FAIL:
                done.add(name)
        return folded(requirement.id, found)

    def _cases_of(self, requirement: str, fixtures: Mapping[str, Any]) -> list[_Case]:
        if requirement not in self._cases:
            self._cases[requirement] = [
                self._frozen(check, model, parameters, fixtures)
                for check in catalogue.deciding(requirement)
                for model in (self._models_of(requirement) if check.per_model else [None])
                for parameters in check.parametrisations()
            ]
        return self._cases[requirement]

    def _models_of(self, requirement: str) -> list[str]:
        """Return the models of the profiles that have a requirement, of those that are here.

        Those that look back farther come later: their rows are long, and who fails early is done.
        """
        here = [n for n in spec.models_of(spec.load(), requirement) if n in self._packages]
        return sorted(here, key=lambda name: FORMS[name].reach if name in FORMS else 0)

    def _frozen(
        self,
        check: Check,
        model: str | None,
        parameters: Mapping[str, Any],
        fixtures: Mapping[str, Any],
    ) -> _Case:
        arguments = {**_on_model(fixtures, model), **parameters}
        drawn = inputs.examples(check.function, arguments, EXAMPLES, _SEED)
        return _Case(check, model, parameters, drawn)

    def _checked(
        self, candidate: Candidate, package: ModelPackage, contract: Contract, who: str
    ) -> CheckedModel | CheckedEncoder | CheckedEncoderDecoder:
        if other := kinds.checked(candidate, package, contract, who):
            return other
        measured = functools.partial(models.noise, package, contract)
        return CheckedModel(
            load=candidate.load,
            package=package,
            oracle=self._oracle_of(package, contract),
            contract=contract,
            measure_noise=(
                functools.partial(self._noise_of, package)
                if contract == self.contract
                else measured
            ),
            measure_types=functools.partial(self._types_of, package),
            who=who,
        )

    def _oracle_of(self, package: ModelPackage, contract: Contract) -> RememberedOracle:
        if contract.weight == self.contract.weight:
            return self._oracles[package.name]
        return RememberedOracle(models.oracle(package, contract))

    def _types_of(self, package: ModelPackage) -> Mapping[str, float]:
        if package.name not in self._types:
            self._types[package.name] = models.type_noise(package, self.contract)
        return self._types[package.name]

    def _noise_of(self, package: ModelPackage, corpus: str = "near") -> Noise:
        if (package.name, corpus) not in self._noise:
            self._noise[package.name, corpus] = models.noise(package, self.contract, corpus)
        return self._noise[package.name, corpus]


def _on_model(fixtures: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    """Return fixtures with one of the models, of one candidate or of two."""
    return {
        name: value if name.rpartition("_")[2] != "model" else value.get(model)
        for name, value in fixtures.items()
    }


def _named(case: _Case, fixtures: Mapping[str, Any]) -> dict[str, Any]:
    wanted = case.check.arguments()
    return {name: value for name, value in fixtures.items() if name in wanted}


def _decide(case: _Case, arguments: Mapping[str, Any]) -> tuple[Verdict, Measurement | None, str]:
    """Run a check on its frozen inputs, up to the first that it fails on."""
    error: BaseException | None = None
    with evidence.collect() as sink:
        try:
            for drawn in case.examples:
                case.check.original(**arguments, **case.parameters, **drawn)
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # noqa: BLE001  # the table of verdicts decides what it is
            error = raised
    verdict, _ = verdict_of(error)
    if error is None and not any(measured.count for measured in sink.measurements):
        verdict = Verdict.NOT_RUN  # what measured nothing has not passed
    worst: Measurement | None = None
    for measurement in sink.measurements:
        worst = _worse(worst, measurement)
    return verdict, worst, "" if error is None else f"{case.check.name}: {error}"


def _worse(one: Measurement | None, other: Measurement | None) -> Measurement | None:
    if one is None or other is None:
        return one or other
    return evidence.worse(one, other)
