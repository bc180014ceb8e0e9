"""The candidate of a run, opened: with its claims settled, its models and its operators checked."""

from __future__ import annotations

import dataclasses
import functools
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import kinds, models, preflight, schema, spec
from conformance.checked import (
    CheckedEncoder,
    CheckedEncoderDecoder,
    CheckedModel,
    CheckedOperators,
    CheckedSampler,
    CheckedTokenizer,
    RememberedOracle,
)
from conformance.errors import (
    CandidateFault,
    FormatError,
    PackageError,
    UsageError,
)
from conformance.opened import Unopened, opened, presentable
from conformance.oracles.corpus import TOKENS
from conformance.package import CONFIG
from conformance.records import (
    Against,
    CandidateInfo,
    Claims,
    ModelRecord,
    NoiseUnit,
    Oracle,
    Preflight,
    SamplingPolicy,
    TokenizerFacts,
)
from reference_model.builds import BUILDS, whole_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import Contract, Profile, Spec
    from conformance.selection import Selection

    Learnt = tuple[str, dict[str, Any] | None, list[str], str | None]


@dataclass(frozen=True)
class Subject:
    """What the checks' fixtures hand out."""

    text: str
    """The candidate as it was written on the command line."""
    info: CandidateInfo
    contract: Contract
    models: Mapping[str, CheckedModel | CheckedEncoder | CheckedEncoderDecoder]
    operators: CheckedOperators
    sampler: CheckedSampler
    tokenizer: CheckedTokenizer
    fault: CandidateFault | None = None
    """Why it could not be opened, where it could not: then it has not described itself either."""
    against: Subject | None = None
    """The second candidate, where the run has two."""
    preflights: Mapping[str, Preflight] = field(default_factory=dict)
    """What each release was estimated to take; of the suite's own models nothing is said."""

    def model_records(self) -> tuple[ModelRecord, ...]:
        """Return the models as they were used; units that nobody asked for stay unmeasured."""
        return tuple(
            ModelRecord(
                name=name,
                digest=model.package.digest,
                build=_build(model.package.built),
                noise=model.__dict__.get("noise"),
                answer=model.kept,
                preflight=self.preflights.get(name),
            )
            for name, model in self.models.items()
        )

    def claims(self) -> tuple[Claims, Claims | None]:
        """Return what the candidate claims, and what the second one does, where there is one."""
        return self.info.claims, None if self.against is None else self.against.info.claims

    def second(self) -> Against | None:
        """Return the second candidate as a report names it."""
        other = self.against
        if other is None:
            return None
        records = other.model_records()
        return Against(other.text, presentable(other.info), other.contract, records)

    def learnt(self) -> list[Learnt]:
        """Return what is known of each model now: its unit, built files and kept answer.

        As plain values, which one process can send another; the second candidate's come last.
        """
        mine = [
            (
                one.name,
                None if one.noise is None else dataclasses.asdict(one.noise),
                sorted(self.models[one.name].package.built),
                one.answer,
            )
            for one in self.model_records()
        ]
        return mine + (self.against.learnt() if self.against else [])

    def learn(self, learnt: Sequence[Learnt]) -> None:
        """Take over what another process has learnt of the models."""
        places = [*self.models.values(), *(self.against.models.values() if self.against else ())]
        for model, (_, unit, built, answer) in zip(places, learnt, strict=False):
            model.package.built.update(built)
            model.kept = model.kept or answer
            if unit is not None:
                model.noise = NoiseUnit(**unit)


def _build(made: Collection[str]) -> str:
    """Return where the files that were used come from, in the report's words.

    Args:
        made: names of the files that the package lacked and the suite made.
    """
    if not made:
        return "supplied"
    builds = dict.fromkeys(str(BUILDS[whole_of(file)]) for file in sorted(made))
    return f"exported by the suite: {'; '.join(builds)}"


@contextmanager
def open_subject(selection: Selection, standard: Spec, profile: Profile) -> Iterator[Subject]:
    """Open the candidate, the second one where there is one, and the models of a run.

    Raises:
        UsageError, CandidateUnavailable, PackageError, FormatError: nothing can be evaluated.
    """
    _check_number(selection, standard, profile)
    packages = _packages(selection, profile)
    claims = _claims(selection)
    oracles: dict[tuple[str, str], RememberedOracle] = {}
    with ExitStack() as stack:

        def subject_of(text: str, claims: Claims | None) -> Subject:
            candidate = stack.enter_context(opened(text, selection, profile))
            info = dataclasses.replace(candidate.info, claims=claims or candidate.info.claims)
            contract = spec.contract_of(standard, info.claims)
            who = text if selection.against else ""
            return Subject(
                text=text,
                info=info,
                contract=contract,
                models={p.name: _checked(candidate, p, contract, oracles, who) for p in packages},
                operators=CheckedOperators(candidate, contract, who=who),
                sampler=CheckedSampler(candidate, info.claims.sampling),
                tokenizer=CheckedTokenizer(candidate, info.claims),
                fault=candidate.fault if isinstance(candidate, Unopened) else None,
            )

        subject = subject_of(selection.candidate, claims)
        if selection.model:
            asked = selection.only or profile.requirements
            decoders = [one for one in packages if kinds.kind_of(one.config) == kinds.DECODER]
            found = preflight.of_releases(decoders, subject.contract, asked)
            subject = dataclasses.replace(subject, preflights=found)
        if selection.against:
            subject = dataclasses.replace(subject, against=subject_of(selection.against, None))
        yield subject


def _check_number(selection: Selection, standard: Spec, profile: Profile) -> None:
    """Refuse one candidate where two are compared, and two where one is judged."""
    if spec.compares(standard, profile) and not selection.against:
        raise UsageError(
            f"profile {profile.name} compares two candidates: name the second with --against "
            "CANDIDATE"
        )
    if selection.against and not spec.compares(standard, profile):
        comparing = [p.name for p in standard.profiles.values() if spec.compares(standard, p)]
        raise UsageError(
            f"profile {profile.name} judges one candidate: leave out --against, or choose a "
            f"profile that compares two ({', '.join(comparing)})"
        )


def _packages(selection: Selection, profile: Profile) -> list[ModelPackage]:
    if selection.model and _is_of_planted_models(profile):
        raise UsageError(
            f"profile {profile.name} judges models of the suite's own, whose logits are known in "
            "closed form: leave out --model"
        )
    found = [models.open_package(Path(folder)) for folder in selection.model]
    if found and not kinds.NAMES.keys() & set(profile.demands):
        raise UsageError(f"profile {profile.name} judges no model: leave out --model")
    found = found or [models.suite_package(name) for name in profile.models]
    if not found and kinds.NAMES.keys() & set(profile.demands):
        raise UsageError(
            f"profile {profile.name} judges a model of your own: name its folder with --model DIR"
        )
    for package in found:
        kinds.check(package, profile, spec.load().profiles.values())
        _check_room(package)
    names = [package.name for package in found]
    if len(set(names)) != len(names):
        raise UsageError(f"two models share a name ({', '.join(names)}): rename one of the folders")
    return found


def _is_of_planted_models(profile: Profile) -> bool:
    known = spec.load().requirements
    return any(known[name].oracle is Oracle.CLOSED_FORM for name in profile.requirements)


def _check_room(package: ModelPackage) -> None:
    if kinds.kind_of(package.config) != kinds.DECODER:
        return  # its corpora are made for as many positions as there are
    positions = package.sizes["max_position_embeddings"]
    if positions < TOKENS:
        raise PackageError(
            f"{package.path / CONFIG}: max_position_embeddings is {positions}; at least {TOKENS} "
            "are needed, the tokens of a row of the corpus that logits are judged on"
        )


def _checked(
    candidate: Candidate,
    package: ModelPackage,
    contract: Contract,
    oracles: dict[tuple[str, str], RememberedOracle],
    who: str,
) -> CheckedModel | CheckedEncoder | CheckedEncoderDecoder:
    if other := kinds.checked(candidate, package, contract, who):
        return other
    key = package.name, contract.weight  # two candidates of one type are held against one truth
    if key not in oracles:
        oracles[key] = RememberedOracle(models.oracle(package, contract))
    exact = oracles[key].outputs
    return CheckedModel(
        load=candidate.load,
        package=package,
        oracle=oracles[key],
        contract=contract,
        who=who,
        measure_noise=functools.partial(models.noise, package, contract, exact=exact),
        measure_types=functools.partial(models.type_noise, package, contract, exact=exact),
    )


def _claims(selection: Selection) -> Claims | None:
    if not selection.claims:
        return None
    path = Path(selection.claims)
    if not path.is_file():
        raise UsageError(f"claims file {selection.claims!r} does not exist")
    try:
        document = schema.load(path)
        schema.validate("claims", document)
    except FormatError as error:
        raise error.in_file(selection.claims) from error
    return Claims(
        frozenset(document["capabilities"]),
        document["precision"],
        document.get("contract", {}),
        frozenset(document["operators"]) if "operators" in document else None,
        SamplingPolicy.of(document.get("sampling")),
        TokenizerFacts.of(document.get("tokenizer")),
    )
