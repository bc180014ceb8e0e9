"""Render the record of a run once more, in any format; several runs side by side.

Runs that stand side by side were given the same inputs: one profile, one suite, one seed. Their
distances are computed from the logits that each kept in its run folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conformance import report
from conformance.cli._choices import one_of
from conformance.cli._records import folder_of, read_report
from conformance.errors import UsageError

if TYPE_CHECKING:
    import argparse

EXAMPLES = (
    "llm-conformance report conformance-results/onnxruntime-decoder",
    "llm-conformance report RUN --format markdown >> $GITHUB_STEP_SUMMARY",
    "llm-conformance report RUN --format html --output report.html",
    "llm-conformance report RUN OTHER-RUN --format html --output side-by-side.html",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the records, the format and the file."""
    parser.add_argument("records", metavar="RUN", nargs="+", help="a run folder, or a report.json")
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
    text = _rendered(options.records, options.format)
    if not options.output:
        print(text.removesuffix("\n"))
        return 0
    try:
        Path(options.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {options.output!r}: {error.strerror}") from error
    return 0


def _rendered(runs: list[str], form: str) -> str:
    if len(runs) == 1:
        return report.render(read_report(runs[0]), form)
    from conformance.side_by_side import side_by_side  # noqa: PLC0415  # one run needs no NumPy

    read = [(folder_of(run), read_report(run)) for run in runs]
    return report.render_several(side_by_side(read), form)
