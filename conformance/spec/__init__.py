"""The standard as data: requirements, profiles, precision contracts and capabilities.

The JSON files beside this module are the standard; :func:`load` reads them into frozen records
and refuses data that contradicts itself. Nothing here knows how a requirement is checked.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

from conformance import schema
from conformance.errors import SpecError, UsageError, did_you_mean
from conformance.records import Contract, Level, Oracle, Profile, Requirement, Spec, Term

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.resources.abc import Traversable

    from conformance.records import Claims

VERSION = "1.0"
"""Version of the standard; the suite that checks it has its own."""


@functools.cache
def load() -> Spec:
    """Read the standard that is installed.

    Raises:
        SpecError: an id stands twice, or a name is used that is not defined.
    """
    root = resources.files(__name__)
    requirements = _unique(
        _requirement(row)
        for document in _documents(root / "requirements")
        for row in document["requirements"]
    )
    precision = _read(root / "precision.json")
    spec = Spec(
        version=VERSION,
        requirements=requirements,
        profiles=_profiles(_documents(root / "profiles")),
        contracts={c["name"]: Contract(**c) for c in precision["contracts"]},
        terms={t["name"]: Term(**_tuples(t)) for t in precision["terms"]},
        capabilities=_read(root / "capabilities.json")["capabilities"],
        digest=_digest(root),
    )
    _check_names(spec)
    return spec


def profile(spec: Spec, name: str) -> Profile:
    """Return a profile by name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in spec.profiles:
        raise UsageError(f"there is no profile {name!r}.{did_you_mean(name, spec.profiles)}")
    return spec.profiles[name]


def compares(spec: Spec, profile: Profile) -> bool:
    """Return whether a profile is about two candidates."""
    return any(spec.requirements[name].two_candidates for name in profile.requirements)


def models_of(spec: Spec, identifier: str) -> tuple[str, ...]:
    """Return the suite's models on which a requirement is decided, by any profile that has it."""
    found = (name for p in spec.profiles.values() for name in p.models_of(identifier))
    return tuple(dict.fromkeys(found))


def requirement(spec: Spec, identifier: str) -> Requirement:
    """Return a requirement by id.

    Raises:
        UsageError: there is none of that id.
    """
    if identifier not in spec.requirements:
        hint = did_you_mean(identifier, spec.requirements)
        raise UsageError(f"there is no requirement {identifier!r}.{hint}")
    return spec.requirements[identifier]


def contract_of(spec: Spec, claims: Claims) -> Contract:
    """Return the claimed contract: the named one, with the terms that are claimed otherwise.

    Raises:
        UsageError: there is no such contract or term, or a term cannot have the claimed value.
    """
    if claims.precision not in spec.contracts:
        raise UsageError(
            f"claimed precision {claims.precision!r} is not defined."
            f"{did_you_mean(claims.precision, spec.contracts)} Known: {', '.join(spec.contracts)}"
        )
    for name, value in claims.contract.items():
        if name not in spec.terms:
            raise UsageError(
                f"a precision contract has no term {name!r}.{did_you_mean(name, spec.terms)}"
            )
        allowed = spec.terms[name].one_of
        if value not in allowed:
            raise UsageError(
                f"claimed {name}: {value!r} is none of {', '.join(map(repr, allowed))}"
            )
    terms: dict[str, Any] = dict(claims.contract)
    return dataclasses.replace(spec.contracts[claims.precision], **terms)


def _read(file: Traversable) -> Any:
    return schema.parse(file.read_bytes())


def _json_files(folder: Traversable) -> list[Traversable]:
    files = (file for file in folder.iterdir() if file.name.endswith(".json"))
    return sorted(files, key=lambda file: file.name)


def _documents(folder: Traversable) -> Iterable[Any]:
    return map(_read, _json_files(folder))


def _requirement(row: Mapping[str, Any]) -> Requirement:
    fields = dict(row, level=Level(row["level"]), oracle=Oracle(row["oracle"]))
    return Requirement(**_tuples(fields))


def _profiles(documents: Iterable[Mapping[str, Any]]) -> dict[str, Profile]:
    """Return all profiles: those that are lists, then the unions of them."""
    rows = {row["name"]: row for row in documents}
    listed = {n: Profile(**_tuples(row)) for n, row in rows.items() if "includes" not in row}
    return {name: listed.get(name) or _union(row, listed) for name, row in rows.items()}


def _union(row: Mapping[str, Any], listed: Mapping[str, Profile]) -> Profile:
    """Return a profile that asks for what others ask for, each on their models."""
    for name in row["includes"]:
        if name not in listed:
            raise SpecError(
                f"profile {row['name']} includes {name!r}, which is no profile with a list of its "
                f"own.{did_you_mean(name, listed)}"
            )
    if lists := sorted({"models", "requirements", "precisions"} & set(row)):
        raise SpecError(f"profile {row['name']} includes others, and lists {', '.join(lists)}")
    parts = tuple(listed[name] for name in row["includes"])
    return Profile(
        name=row["name"],
        title=row["title"],
        models=_merged(part.models for part in parts),
        requirements=_merged(part.requirements for part in parts),
        precisions=_merged(part.precisions for part in parts),
        demands=tuple(row["demands"]),
        includes=parts,
    )


def _merged(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in lists for name in names))


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}


def _unique(rows: Iterable[Requirement]) -> dict[str, Requirement]:
    found: dict[str, Requirement] = {}
    for row in rows:
        if row.id in found:
            raise SpecError(f"requirement {row.id} is defined twice")
        found[row.id] = row
    return found


def _digest(root: Traversable) -> str:
    """Return the SHA-256 of the standard's data files, names included."""
    total = hashlib.sha256()
    files = [*_json_files(root), *_json_files(root / "requirements")]
    for file in [*files, *_json_files(root / "profiles")]:
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _check_names(spec: Spec) -> None:
    used = [
        *((f"requirement {r.id}", r.needs, spec.capabilities) for r in spec.requirements.values()),
        *((f"profile {p.name}", p.demands, spec.capabilities) for p in spec.profiles.values()),
        *((f"profile {p.name}", p.requirements, spec.requirements) for p in spec.profiles.values()),
        *((f"profile {p.name}", p.precisions, spec.contracts) for p in spec.profiles.values()),
    ]
    for owner, names, known in used:
        for name in names:
            if name not in known:
                raise SpecError(f"{owner} names {name!r}.{did_you_mean(name, known)}")
