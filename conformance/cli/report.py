"""Render the record of a run once more, in any format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conformance import report
from conformance.cli._choices import one_of
from conformance.cli._records import read_report
from conformance.errors import UsageError

if TYPE_CHECKING:
    import argparse

EXAMPLES = (
    "llm-conformance report conformance-results/onnxruntime-decoder",
    "llm-conformance report RUN --format markdown >> $GITHUB_STEP_SUMMARY",
    "llm-conformance report RUN --format html --output report.html",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the record, the format and the file."""
    parser.add_argument("record", metavar="RUN", help="a run folder, or a report.json")
    parser.add_argument(
        "--format",
        choices=report.formats(),
        type=one_of("report format", report.formats()),
        default="table",
        help="how to write it (default: table)",
    )
    parser.add_argument("--output", metavar="FILE", help="write there (default: standard output)")


def run(options: argparse.Namespace) -> int:
    """Render, and print or write the text."""
    text = report.render(read_report(options.record), options.format)
    if not options.output:
        print(text.removesuffix("\n"))
        return 0
    try:
        Path(options.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {options.output!r}: {error.strerror}") from error
    return 0
