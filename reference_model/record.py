"""A decoder's config as a JSON document, and back: the suite's own record, one for every family.

``schemas/model-config.schema.json`` describes it field by field. Names are those of ``config``; a
scaling has ``kind`` beside its fields, and layers stand in ascending order. Nothing here imports
torch.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from reference_model.config import (
    Attention,
    Experts,
    Linear,
    Llama3,
    LongRope,
    Mlp,
    ModelConfig,
    Norm,
    Rope,
    Yarn,
)
from reference_model.config_rules import validate
from reference_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Mapping[str, type[Any]] = {
    "linear": Linear,
    "llama3": Llama3,
    "yarn": Yarn,
    "longrope": LongRope,
}
"""Scalings of a rotation, by the word that names each in a document."""
_PARTS: Mapping[str, type[Any]] = {
    "attention": Attention,
    "rope": Rope,
    "local_rope": Rope,
    "norm": Norm,
    "mlp": Mlp,
    "experts": Experts,
}
"""Fields whose values are records, and which."""


def to_json(config: ModelConfig) -> dict[str, Any]:
    """Return a config as a document with every field, the neutral ones too."""
    return _written(config)


def from_json(document: Mapping[str, Any]) -> ModelConfig:
    """Return the config that a document says; a field that is absent is neutral.

    Raises:
        ConfigError: a field is unknown or missing, or the parts contradict each other.
    """
    own = {key: value for key, value in document.items() if key != "x"}
    config: ModelConfig = _read(ModelConfig, own, "")
    try:
        validate(config)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model config: {error}") from error
    return config


def _written(part: Any) -> dict[str, Any]:
    names = {kind: name for name, kind in KINDS.items()}
    found = {"kind": names[type(part)]} if type(part) in names else {}
    for field in dataclasses.fields(part):
        found[field.name] = _value(getattr(part, field.name))
    return found


def _value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _written(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _read(kind: type[Any], document: Any, place: str) -> Any:
    if not isinstance(document, dict):
        raise ConfigError(f"model config: {place} is {document!r}; it has to be an object")
    known = {field.name: field for field in dataclasses.fields(kind)}
    for name in document:
        if name not in known:
            raise ConfigError(
                f"model config: {place}/{name} is no field of {kind.__name__}, which has "
                f"{', '.join(known)}"
            )
    for name, field in known.items():
        if field.default is dataclasses.MISSING and name not in document:
            raise ConfigError(f"model config: {place}/{name} is missing (no default is assumed)")
    return kind(**{name: _field(name, one, place) for name, one in document.items()})


def _field(name: str, value: Any, place: str) -> Any:
    here = f"{place}/{name}"
    if name == "scaling" and value is not None:
        return _scaling(value, here)
    if name in _PARTS and value is not None:
        return _read(_PARTS[name], value, here)
    if name in ("full_layers", "dense_layers"):
        return frozenset(value)
    return tuple(value) if name in ("short", "long") else value


def _scaling(value: Any, here: str) -> Any:
    kind: Any = value.get("kind") if isinstance(value, dict) else None
    if kind not in KINDS:
        raise ConfigError(f"model config: {here}/kind is {kind!r}; known are {', '.join(KINDS)}")
    return _read(KINDS[kind], {name: one for name, one in value.items() if name != "kind"}, here)
