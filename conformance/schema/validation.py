"""The project's schemas, and ``validate``: layer L2. Nothing is ever fetched."""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from conformance.errors import FormatError, UsageError, did_you_mean
from conformance.schema.reading import load, pointer, refuse_faults, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_PACKAGED = Path(__file__).parents[1] / "_schemas"
SCHEMAS = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "schemas"


def kinds() -> list[str]:
    """Return the kinds of documents that have a schema."""
    return sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json"))


@cache
def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of a kind; its ``$id`` names the version.

    Raises:
        UsageError: there is no such kind.
    """
    if kind not in kinds():
        raise UsageError(f"there is no schema of kind {kind!r}.{did_you_mean(kind, kinds())}")
    document = load(SCHEMAS / f"{kind}.schema.json")
    assert isinstance(document, dict)
    return document


def validate(kind: str, document: Any) -> None:
    """Hold a parsed document against the schema of its kind.

    Raises:
        UsageError: there is no such kind.
        FormatError: ``L2-<KEYWORD>`` at the place that does not conform. One rule is stricter than
            JSON Schema can say, and is layer L3: an integer is not written ``1.0``.
    """
    validator = _validator(kind)
    refuse_faults(document)  # NaN would satisfy any maximum
    errors = list(islice(validator.iter_errors(document), 1000))
    if errors:
        raise _told(min(errors, key=_rank))


@cache
def _validator(kind: str) -> Validator:
    # Imported here: it takes a quarter of a second, which a command that only lists would feel.
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: _is_int(value))
    extend: Any = validators.extend  # the library's function carries no types
    rules = {"unevaluatedProperties": _closed}
    strict = extend(Draft202012Validator, rules, type_checker=types)
    validator: Validator = strict(_inlined(schema_of(kind), schema_of(kind)))
    return validator


def _inlined(node: Any, root: dict[str, Any]) -> Any:
    """Return a schema with every reference replaced by what it leads to.

    No schema of ours leads back to itself. Following references again for every value would take
    most of the time, and the library would leave our stricter validator at each whole schema.
    """
    if isinstance(node, list):
        return [_inlined(item, root) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        heads = ("$schema", "$id", "$defs")
        return {key: _inlined(value, root) for key, value in node.items() if key not in heads}
    base, _, fragment = node["$ref"].partition("#")
    target = root = _by_id()[base] if base else root
    for part in fragment.split("/")[1:]:
        target = target[part]
    return _inlined(target, root)


def _by_id() -> dict[str, dict[str, Any]]:
    return {schema_of(kind)["$id"]: schema_of(kind) for kind in kinds()}


def _closed(
    _: Validator, allowed: Any, document: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    """Demand that a closed object has no further keys.

    All keys of our objects stand beside ``unevaluatedProperties``, so the general search through
    every branch, which is slow, would find the same.
    """
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    assert allowed is False
    if isinstance(document, dict) and not document.keys() <= schema["properties"].keys():
        yield ValidationError("further keys")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_RANK = {"const": 0, "enum": 0, "type": 1, "required": 3, "oneOf": 4, "unevaluatedProperties": 5}


def _rank(error: ValidationError) -> tuple[bool, int, str]:
    """Order errors: what the document is comes before what it lacks or has too much of."""
    rank = _RANK.get(str(error.validator), 2)
    return _is_integer_form(error), rank, pointer(tuple(error.absolute_path))


def _is_integer_form(error: ValidationError) -> bool:
    value, allowed = error.instance, error.validator_value
    wants_integer = error.validator == "type" and "integer" in cast("list[str] | str", allowed)
    return wants_integer and isinstance(value, float) and value.is_integer()


def _told(error: ValidationError) -> FormatError:
    """Say what was seen and allowed."""
    path = tuple(error.absolute_path)
    if _is_integer_form(error):
        detail = f"is {error.instance!r}; allowed: an integer, written without a fraction"
        return FormatError("L3-INTEGER-FORM", detail, pointer(path))
    keyword, allowed = str(error.validator), cast("Any", error.validator_value)
    seen = cast("Any", error.instance)
    code = "L2-" + re.sub("([A-Z])", r"-\1", keyword).upper()
    if keyword == "required":
        missing = [name for name in allowed if name not in seen]
        detail = f"lacks {', '.join(map(repr, missing))}"
    elif keyword == "unevaluatedProperties":
        known = error.schema.get("properties", {})  # type: ignore[union-attr]
        extra = min(set(seen) - set(known))
        path, detail = (*path, extra), f"is an unknown key.{did_you_mean(extra, known)}"
    else:
        detail = f"is {shown(seen)}; allowed: {_ruled(keyword, allowed)}"
    return FormatError(code, detail, pointer(path))


def _ruled(keyword: str, allowed: Any) -> str:
    if keyword == "enum":
        return ", ".join(map(shown, allowed))
    if keyword == "const":
        return shown(allowed)
    if keyword == "type":
        return allowed if isinstance(allowed, str) else " or ".join(allowed)
    if keyword == "oneOf":
        return f"exactly one of {shown(allowed)}"
    return f"{keyword} {shown(allowed)}"
