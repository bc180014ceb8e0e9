"""Documents and files: accepted by their formats, and left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import evidence, schema
from conformance.errors import FormatError, Nonconformity, PackageError
from conformance.judge.settling import settle
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable


def follows_schema(kind: str, document: Any) -> None:
    """Demand that a document follows one of the suite's schemas."""
    accepted(f"schema {kind}", lambda: schema.validate(kind, document))


def accepted(what: str, read: Callable[[], object]) -> None:
    """Demand that ``read`` takes what it is given; ``what`` says by what it is taken."""
    try:
        read()
        fault = None
    except (FormatError, PackageError) as error:
        fault = error
    measurement = Measurement(what, float(fault is not None), 0.0, "violations", "", 1)
    evidence.record(measurement)
    if fault is not None:
        raise Nonconformity(measurement, str(fault)) from fault


def unchanged(what: str, before: str, after: str) -> None:
    """Demand that two digests are the same."""
    settle(Measurement("changes", float(before != after), 0.0, what, "", 1))
