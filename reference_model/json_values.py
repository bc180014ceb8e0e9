"""Strict JSON files and typed values out of them. Knows nothing of models.

Duplicate keys and NaN are refused: readers disagree about them, and so would runtimes.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from reference_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


def load(file: Path) -> dict[str, Any]:
    """Read a JSON file whose document is an object.

    Raises:
        ConfigError: the file is missing or not UTF-8, or is not strict JSON.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{file} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not strict JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{file} holds a {type(document).__name__}; it has to be an object")
    return document


def get(document: Mapping[str, Any], key: str, place: str = "") -> Any:
    """Return a value that has to be there.

    Raises:
        ConfigError: it is absent or null.
    """
    value = document.get(key)
    if value is None:
        raise ConfigError(f"config.json: {_path(key, place)} is missing (no default is assumed)")
    return value


def integer(document: Mapping[str, Any], key: str, place: str = "") -> int:
    """Return an integer; true and 2.0 are none."""
    value = get(document, key, place)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"config.json: {_path(key, place)} is {value!r}; it has to be an integer")
    return value


def number(document: Mapping[str, Any], key: str, place: str = "") -> float:
    """Return a finite number; true is none."""
    value = get(document, key, place)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        raise ConfigError(
            f"config.json: {_path(key, place)} is {value!r}; it has to be a finite number"
        )
    return float(value)


def numbers(document: Mapping[str, Any], key: str, place: str = "") -> list[float]:
    """Return a list of finite numbers."""
    values = get(document, key, place)
    if not isinstance(values, list):
        raise ConfigError(f"config.json: {_path(key, place)} is {values!r}; it has to be a list")
    items = {str(i): value for i, value in enumerate(values)}
    return [number(items, i, _path(key, place)) for i in items]


def boolean(document: Mapping[str, Any], key: str, place: str = "") -> bool:
    """Return true or false; 0 and 1 are neither."""
    value = get(document, key, place)
    if not isinstance(value, bool):
        raise ConfigError(
            f"config.json: {_path(key, place)} is {value!r}; it has to be true or false"
        )
    return value


def check_value(key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Check that a value is one of those that are computed.

    Raises:
        ConfigError: it is not.
    """
    # True == 1 in Python, and [] == (): compare kinds as well, but let 1 stand for 1.0.
    if not any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed
    ):
        raise _not_computed(key, value, allowed)


def check_key(
    key: str, value: Any, neutral: Mapping[str, tuple[Any, ...]], known: Collection[str]
) -> None:
    """Check that a key is understood, and that one which has to be neutral is.

    Args:
        key: of a config.json.
        value: what stands there.
        neutral: by key, the values that are computed, of the very types.
        known: keys that are read elsewhere, or of any value.

    Raises:
        ConfigError: it is not.
    """
    if key in known:
        return
    if key not in neutral:
        raise not_understood(key, value)
    if not any(value == one and type(value) is type(one) for one in neutral[key]):
        raise _not_computed(key, value, neutral[key])


def not_understood(key: str, value: Any) -> ConfigError:
    """Return what is said of a key that nobody here knows."""
    return ConfigError(
        f"config.json: key {key!r} (value {value!r}) is not understood, so what the model computes "
        "is not known; remove the key if it changes nothing"
    )


def _not_computed(key: str, value: Any, allowed: tuple[Any, ...]) -> ConfigError:
    choices = " or ".join(repr(one) for one in allowed)
    return ConfigError(f"config.json: {key} is {value!r}; only {choices} is computed here")


def _path(key: str, place: str) -> str:
    return f"{place}.{key}" if place else key


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"keys {twice} stand there more than once")
    return document


def _constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")
