"""Canonical JSON, so that equal documents are equal bytes and differ line by line."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from conformance.schema.reading import NON_FINITE, Limits, parse

if TYPE_CHECKING:
    from collections.abc import Iterator


def plain(value: Any) -> Any:
    """Return a value with non-finite numbers as "NaN", "Infinity", "-Infinity", tuples as lists.

    ``float`` reads such a string back.
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return NON_FINITE[str(float(value))]
    return value


def dump(document: Any) -> bytes:
    """Return a document as canonical JSON: sorted keys, arrays of scalars on one line, UTF-8.

    Non-finite numbers are written as ``plain`` says.

    Raises:
        FormatError: ``parse`` would refuse what is to be written.
        TypeError: something in it is no JSON value.
    """
    text = "".join(_written(plain(document), "\n")) + "\n"
    data = text.encode("utf-8", "surrogatepass")
    parse(data, Limits(size=len(data), keys=len(data)))
    return data


def _written(value: Any, newline: str) -> Iterator[str]:
    inner = newline + "  "
    if isinstance(value, dict) and value:
        for i, key in enumerate(sorted(value)):
            yield ("," if i else "{") + inner + json.dumps(key, ensure_ascii=False) + ": "
            yield from _written(value[key], inner)
        yield newline + "}"
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for i, item in enumerate(value):
            yield ("," if i else "[") + inner
            yield from _written(item, inner)
        yield newline + "]"
    else:
        yield json.dumps(value, ensure_ascii=False, allow_nan=False)
