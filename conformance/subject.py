"""The candidate of a run, opened: with its claims settled, its models and its operators checked."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from conformance import candidate as candidates
from conformance import models, schema, worker
from conformance.checked import CheckedModel, CheckedOperators, RememberedOracle
from conformance.errors import (
    CandidateFault,
    CandidateRaised,
    CandidateUnavailable,
    FormatError,
    MalformedOutput,
    PackageError,
    UsageError,
)
from conformance.oracles.corpus import TOKENS
from conformance.package import CONFIG
from conformance.raised import clean, error_text
from conformance.records import CandidateInfo, Claims, ModelRecord
from conformance.spec import contract_of
from reference_model.builds import BUILDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import Contract, Profile, Spec
    from conformance.selection import Selection

_GIB = 1 << 30
_LINE_CHARACTERS = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Subject:
    """What the checks' fixtures hand out."""

    info: CandidateInfo
    contract: Contract
    models: Mapping[str, CheckedModel]
    operators: CheckedOperators
    fault: CandidateFault | None = None
    """Why it could not be opened, where it could not: then it has not described itself either."""

    def model_records(self) -> tuple[ModelRecord, ...]:
        """Return the models as they were used; units that nobody asked for stay unmeasured."""
        return tuple(
            ModelRecord(
                name=name,
                digest=model.package.digest,
                build=_build(model.package.built),
                noise=model.__dict__.get("noise"),
            )
            for name, model in self.models.items()
        )


def _build(made: Collection[str]) -> str:
    """Return where the files that were used come from, in the report's words.

    Args:
        made: names of the files that the package lacked and the suite made.
    """
    if not made:
        return "supplied"
    return f"exported by the suite: {'; '.join(str(BUILDS[file]) for file in sorted(made))}"


@contextmanager
def open_subject(selection: Selection, spec: Spec, profile: Profile) -> Iterator[Subject]:
    """Open the candidate and the models of a run.

    Raises:
        UsageError, CandidateUnavailable, PackageError, FormatError: nothing can be evaluated.
    """
    packages = _packages(selection, profile)
    with _opened(selection, profile) as candidate:
        claims = _claims(selection) or candidate.info.claims
        info = dataclasses.replace(candidate.info, claims=claims)
        contract = contract_of(spec, claims)
        yield Subject(
            info=info,
            contract=contract,
            models={p.name: _checked(candidate, p, contract) for p in packages},
            operators=CheckedOperators(candidate, contract),
            fault=candidate.fault if isinstance(candidate, _Unopened) else None,
        )


def _packages(selection: Selection, profile: Profile) -> list[ModelPackage]:
    found = [models.open_package(Path(folder)) for folder in selection.model]
    if found and "logits" not in profile.demands:
        raise UsageError(f"profile {profile.name} judges no model: leave out --model")
    found = found or [models.suite_package(name) for name in profile.models]
    if not found and "logits" in profile.demands:
        raise UsageError(
            f"profile {profile.name} judges a model of your own: name its folder with --model DIR"
        )
    for package in found:
        _check_room(package)
    names = [package.name for package in found]
    if len(set(names)) != len(names):
        raise UsageError(f"two models share a name ({', '.join(names)}): rename one of the folders")
    return found


def _check_room(package: ModelPackage) -> None:
    positions = package.config["max_position_embeddings"]
    if positions < TOKENS:
        raise PackageError(
            f"{package.path / CONFIG}: max_position_embeddings is {positions}; at least {TOKENS} "
            "are needed, the tokens of a row of the corpus that logits are judged on"
        )


def _checked(candidate: Candidate, package: ModelPackage, contract: Contract) -> CheckedModel:
    return CheckedModel(
        load=lambda: candidate.load(package),
        package=package,
        oracle=RememberedOracle(models.oracle(package, contract)),
        contract=contract,
        measure_noise=functools.partial(models.noise, package, contract),
        measure_types=functools.partial(models.type_noise, package, contract),
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
    )


@contextmanager
def _opened(selection: Selection, profile: Profile) -> Iterator[Candidate]:
    """Open the candidate, isolated where asked; one that breaks on opening fails its cases."""
    opening = candidates.open_candidate(selection.candidate)
    if selection.isolate:
        memory = selection.memory_limit
        limits = worker.Limits(
            call_s=selection.call_limit,
            memory_bytes=None if memory is None else int(memory * _GIB),
        )
        opening = worker.isolated(
            selection.candidate, limits, open_package="conformance.models:open_package"
        )
    try:
        candidate = opening.__enter__()
    except (CandidateUnavailable, UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  # whatever vendor code raises on opening
        yield _Unopened(selection.candidate, profile, error)
        return
    fault = _misdescribed(candidate)
    try:
        yield candidate if fault is None else _Unopened(selection.candidate, profile, fault)
    finally:
        _close(opening)


def _misdescribed(candidate: Candidate) -> CandidateFault | None:
    """Return what is wrong with the candidate's ``info``, without which nothing can be planned."""
    try:
        info: Any = candidate.info
        capabilities = info.claims.capabilities if isinstance(info, CandidateInfo) else None
    except BaseException as error:  # noqa: BLE001  # whatever vendor code raises
        return CandidateRaised(f"reading the candidate's info raised {error_text(error)}")
    if not isinstance(info, CandidateInfo):
        return MalformedOutput(
            f"the candidate's info is a {type(info).__name__}; wanted a "
            "conformance.records.CandidateInfo"
        )
    if not isinstance(capabilities, set | frozenset) or not all(
        isinstance(word, str) for word in capabilities
    ):
        return MalformedOutput(
            f"the candidate claims {capabilities!r}; wanted a frozenset of capabilities, such as "
            "frozenset({'logits', 'operators'})"
        )
    if not isinstance(info.claims.precision, str) or not isinstance(info.digests, Mapping):
        return MalformedOutput(
            f"the candidate claims precision {info.claims.precision!r} and has digests "
            f"{info.digests!r}; wanted a name, such as 'fp32', and a mapping from file names"
        )
    if not isinstance(info.claims.contract, Mapping):
        return MalformedOutput(
            f"the candidate claims the contract {info.claims.contract!r}; wanted a mapping from "
            "terms, such as {'score': 'bfloat16'}"
        )
    return None


def _close(opening: AbstractContextManager[Candidate]) -> None:
    """Close the candidate; all is judged by then, so that a failure here is only told."""
    try:
        opening.__exit__(None, None, None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever vendor code raises on closing
        text = f"note: closing the candidate raised {error_text(error)}"
        print(text, file=sys.stderr)  # noqa: T201  # no verdict depends on it


def presentable(info: CandidateInfo) -> CandidateInfo:
    """Return a description that a report and a terminal can take, whatever the vendor wrote.

    The vendor's own words are what REPORT-001 judges.
    """

    def line(value: Any) -> str:
        text = clean(str(value), _LINE_CHARACTERS) if isinstance(value, str) else ""
        return " ".join(text.split()) or "not told"

    return dataclasses.replace(
        info,
        name=line(info.name),
        version=line(info.version),
        runtime=line(info.runtime),
        device=line(info.device),
        digests={line(k): v for k, v in info.digests.items() if _SHA256.fullmatch(str(v))},
    )


class _Unopened:
    """Stands for a candidate that broke on opening: it fails whatever the profile demands."""

    def __init__(self, text: str, profile: Profile, error: BaseException) -> None:
        self.fault = (
            error
            if isinstance(error, CandidateFault)
            else CandidateRaised(f"opening the candidate raised {error_text(error)}")
        )
        self.info = CandidateInfo(
            name=candidates.parse(text).adapter,
            version="unknown",
            runtime="unknown: it could not be opened",
            device="unknown",
            claims=Claims(frozenset(profile.demands)),
        )

    def _refuse(self, *_: Any) -> NoReturn:
        raise self.fault

    load = operator = _refuse
