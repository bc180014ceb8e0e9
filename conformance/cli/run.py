"""Check a candidate and write a report.

The report stands in the run folder as report.json; the exit code is that of the outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.cli._selection import add_selection as add_options
from conformance.cli._selection import selected

if TYPE_CHECKING:
    import argparse

__all__ = ["EXAMPLES", "add_options", "run"]

EXAMPLES = (
    "llm-conformance run --candidate onnxruntime:CPUExecutionProvider --profile decoder",
    'llm-conformance run --candidate "pytorch:cpu?compile=decoder" --only LOGITS-001',
    "llm-conformance run --candidate onnxruntime --profile decoder-full --jobs 4",
    "llm-conformance run --candidate ./my_adapter.py:device0 --isolate",
    "llm-conformance run --candidate onnxruntime --model ./my-checkpoint",
)


def run(options: argparse.Namespace) -> int:
    """Run the selection; returns the exit code of its outcome."""
    from conformance import hermetic  # noqa: PLC0415  # `list` answers without it

    return hermetic.run(selected(options))
