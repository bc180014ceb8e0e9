"""Run the products of the ledger, and publish what was found of each."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import report as reports
from conformance import schema, spec
from conformance.errors import ConformanceError, UsageError, did_you_mean
from conformance.files import write_atomically
from conformance.publishing import index
from conformance.publishing.redaction import leaks, redacted
from conformance.records import Report, Verdict
from conformance.report import json as record
from conformance.run_folder import RunFolder
from conformance.side_by_side import side_by_side
from conformance.verdicts import EXIT_SUITE_FAULT, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

PRODUCTS = "products.json"
_RUNS = Path("conformance-results") / "ledger"
_REASON = 300


def main() -> int:
    """Run the chosen products, publish their reports and write the index anew."""
    parser = argparse.ArgumentParser(prog="python -m conformance.publishing", description=__doc__)
    parser.add_argument("--only", action="append", metavar="PRODUCT", help="may be repeated")
    parser.add_argument(
        "--further",
        action="store_true",
        help="only run what is published again, with the further seeds; the reports stay",
    )
    parser.add_argument("--reports", default="reports", metavar="DIR", help="(default: reports)")
    options = parser.parse_args()
    try:
        publish(Path(options.reports), options.only or [], further=options.further)
    except ConformanceError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # a command of its own
        return EXIT_USAGE
    return 0


def publish(ledger: Path, only: list[str], *, further: bool = False) -> None:
    """Run products and publish them; those that are not chosen keep what was published of them.

    Args:
        ledger: the folder with the list of products, which the reports are written below.
        only: names of products; empty for all.
        further: whether to keep the published reports, and to run with the further seeds alone.

    Raises:
        UsageError: there is no such product, or a report would tell of the machine.
    """
    listed = schema.load(ledger / PRODUCTS)
    names = [product["name"] for product in listed["products"]]
    for name in only:
        if name not in names:
            raise UsageError(f"there is no product {name!r}.{did_you_mean(name, names)}")
    folder = ledger / spec.VERSION
    for product in listed["products"]:
        if only and product["name"] not in only:
            continue
        file = folder / product["name"] / index.ENTRY
        if not further:
            write_atomically(file, schema.dump(_entry(product, listed, file.parent)))
        if file.is_file():
            for entry in _with_further_seeds(schema.load(file), product, listed):
                write_atomically(file, schema.dump(entry))  # after each: a run takes minutes
    if not further:
        _side_by_side(folder, listed["profiles"])
    write_atomically(folder / index.FILE, index.render(folder).encode())


def _entry(product: dict[str, Any], listed: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run one product on every profile; return what the ledger says of it."""
    profiles = product.get("profiles", listed["profiles"])
    found = [_of_profile(product, name, listed["seed"], folder) for name in profiles]
    told = next((report for report, _ in found if report is not None), None)
    return {
        "schema": schema.schema_of("product")["$id"],
        "product": product["name"],
        "title": product["title"],
        "asked_for": product["candidate"],
        **({"against": product["against"]} if "against" in product else {}),
        "spec": spec.VERSION,
        "seed": listed["seed"],
        **({} if told is None else {"candidate": redacted(told.candidate.document())}),
        "profiles": [row for _, row in found],
    }


def _with_further_seeds(
    entry: dict[str, Any], product: dict[str, Any], listed: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Run what is published of a product with other seeds: other inputs, the same outcome.

    An alarm that comes with one seed and not with another is a false one of the suite's, or a fault
    that some inputs meet; neither is seen in one run.
    """
    for row in (row for row in entry["profiles"] if "report" in row):
        row["further"] = []
        for seed in listed.get("further_seeds", ()):
            run = _run_folder(product["name"], f"{row['profile']}-{seed}")
            reason = _run(product, row["profile"], seed, run)
            if reason:
                raise UsageError(f"{product['name']} has run, and does not with {seed}: {reason}")
            report = RunFolder(run).read()
            digest = report.suite["digest"]
            row["further"].append({"seed": seed, "suite": digest, **_outcome(report)})
            yield entry


def _of_profile(
    product: dict[str, Any], profile: str, seed: int, folder: Path
) -> tuple[Report | None, dict[str, Any]]:
    """Run one product on one profile; publish its report, or say why there is none."""
    run = _run_folder(product["name"], profile)
    reason = _run(product, profile, seed, run)
    if reason:
        shutil.rmtree(folder / profile, ignore_errors=True)  # an earlier report stands for nothing
        return None, {"profile": profile, "not_evaluated": reason}
    document = redacted(record.document(RunFolder(run).read()))
    return _published(document, folder / profile, profile)


def _run(product: dict[str, Any], profile: str, seed: int, run: Path) -> str:
    """Run one product on one profile into a run folder; return why it could not, or nothing."""
    words = [f"--candidate={product['candidate']}", f"--profile={profile}", f"--seed={seed}"]
    words += [f"--against={product['against']}"] if "against" in product else []
    command = [sys.executable, "-m", "conformance", "run", *words, "--isolate", f"--out={run}"]
    print(run.name, file=sys.stderr, flush=True)  # noqa: T201  # of hours, each step is seen
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (EXIT_USAGE, EXIT_SUITE_FAULT):
        return ""
    last = (done.stderr.strip().splitlines() or ["no reason was told"])[-1]
    return str(redacted(last.removeprefix("error: ")))[:_REASON]


def _published(
    document: dict[str, Any], folder: Path, profile: str
) -> tuple[Report, dict[str, Any]]:
    data = schema.dump(document)
    left = leaks(data.decode())
    if left:
        raise UsageError(f"the report of {folder} would tell of this machine: {left[0]!r}")
    report = record.parse(data)
    write_atomically(folder / "report.json", data)
    write_atomically(folder / "report.html", reports.render(report, "html").encode())
    return report, {
        "profile": profile,
        **_outcome(report),
        "report": f"{profile}/report.json",
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _outcome(report: Report) -> dict[str, Any]:
    """Return how a run ended, as an entry of the ledger says it."""
    applicable = [r for r in report.requirements if r.verdict is not Verdict.NOT_APPLICABLE]
    return {
        "outcome": report.outcome.value,
        "passed": sum(r.verdict is Verdict.PASS for r in applicable),
        "applicable": len(applicable),
        "failed": [r.requirement.id for r in applicable if r.verdict is Verdict.FAIL],
    }


def _side_by_side(folder: Path, profiles: list[str]) -> None:
    """Write a page of all published runs of each profile; distances where their runs are here.

    Pairs of candidates have a profile of their own, which is none of these. Reports of which some
    are older, of another suite, stand side by side on no page.
    """
    products = index.entries(folder)
    for profile in profiles:
        page = folder / f"{profile}.html"
        runs = [
            (_run_folder(product["product"], profile), record.parse(file.read_bytes()))
            for product in products
            if index.has_report(product, profile)
            for file in [folder / product["product"] / profile / "report.json"]
        ]
        page.unlink(missing_ok=True)
        try:
            if len(runs) > 1:
                shown = reports.render_several(side_by_side(runs), "html")
                write_atomically(page, shown.encode())
        except UsageError as error:
            print(f"note: no {page}: {error}", file=sys.stderr)  # noqa: T201  # the rest stands


def _run_folder(product: str, profile: str) -> Path:
    return _RUNS / f"{product}-{profile}"


if __name__ == "__main__":
    sys.exit(main())
