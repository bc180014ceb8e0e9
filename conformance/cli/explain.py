"""Say what a requirement means: its source, how it is judged, by which checks, what they kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import spec

if TYPE_CHECKING:
    import argparse

EXAMPLES = (
    "llm-conformance explain ATTN-003",
    "llm-conformance list requirements   # the ids",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the id."""
    parser.add_argument("id", metavar="ID", help="a requirement, such as ATTN-003")


def run(options: argparse.Namespace) -> int:
    """Print everything that is known of one requirement."""
    requirement = spec.requirement(spec.load(), options.id)
    from conformance import explanation  # noqa: PLC0415  # it imports the checks and their pytest

    print(explanation.render(requirement))
    return 0
