"""Reports: what a run says about itself has to hold together. No verdict is recomputed here."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from conformance import schema
from conformance.errors import FormatError
from conformance.records import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(document: Any) -> None:
    """Check a report: layers L2 and L3.

    Raises:
        FormatError: the report contradicts itself, or claims more than it shows.
    """
    schema.validate("report", document)
    _check_date(document["run"]["started"])
    ids = Counter(row["id"] for row in document["requirements"])
    for i, row in enumerate(document["requirements"]):
        if ids[row["id"]] > 1:
            detail = f"{row['id']} stands {ids[row['id']]} times; allowed: once"
            raise FormatError("L3-DUPLICATE-ID", detail, f"/requirements/{i}/id")
        _check_requirement(row, f"/requirements/{i}")
    _check_outcome(document)


def _check_date(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise FormatError("L3-DATE", f"is {text!r}: {error}", "/run/started") from None


def _check_requirement(row: Mapping[str, Any], place: str) -> None:
    for i, case in enumerate(row["cases"]):
        if case["requirement"] != row["id"]:
            detail = f"is {case['requirement']!r}, in the list of {row['id']}"
            raise FormatError("L3-CASE-OF-ANOTHER", detail, f"{place}/cases/{i}/requirement")
    verdict = Verdict[row["verdict"]]
    worst = max((Verdict[case["verdict"]] for case in row["cases"]), default=Verdict.NOT_APPLICABLE)
    if verdict < worst:
        detail = f"is {verdict.name}, better than its worst case, {worst.name}"
        raise FormatError("L3-VERDICT", detail, f"{place}/verdict")
    if verdict is Verdict.PASS and not row["cases"]:
        raise FormatError("L3-VERDICT", "is PASS without a case that passed", f"{place}/verdict")


def _check_outcome(document: Mapping[str, Any]) -> None:
    if document["outcome"] not in {Outcome.CONFORMANT, Outcome.CONDITIONAL}:
        return
    if document["run"]["partial"] or not document["requirements"]:
        detail = f"is {document['outcome']} after a partial or empty selection"
        raise FormatError("L3-OUTCOME", detail, "/outcome")
    for row in document["requirements"]:
        waived = document["outcome"] == Outcome.CONDITIONAL and row["waiver"]
        if row["level"] == "MUST" and Verdict[row["verdict"]] > Verdict.PASS and not waived:
            detail = f"is {document['outcome']}, but {row['id']} is {row['verdict']}"
            raise FormatError("L3-OUTCOME", detail, "/outcome")
