"""Say what got worse from one run to another: verdicts, evaluation and headroom.

Exits with 1 if anything did. Runs of different profiles, standards, models or precision contracts
are not compared. The rule for headroom stands in the module conformance.diff.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import diff
from conformance.cli._records import read_report

if TYPE_CHECKING:
    import argparse

EXAMPLES = (
    "llm-conformance diff last-release/report.json conformance-results/onnxruntime-decoder",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the two records."""
    parser.add_argument("old", metavar="OLD", help="a run folder, or a report.json")
    parser.add_argument("new", metavar="NEW", help="the same, of the later run")


def run(options: argparse.Namespace) -> int:
    """Compare, print the table, and tell by the exit code whether anything got worse."""
    changes = diff.diff(read_report(options.old), read_report(options.new))
    print(diff.render(changes))
    return int(bool(changes))
