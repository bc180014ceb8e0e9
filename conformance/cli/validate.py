"""Hold data files against the standard.

Prints a line for each file: ok, or what is wrong with the code of the refusal. Exits with 1 if any
file is invalid, and with 4 if one cannot be read or the kind is unknown.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import formats
from conformance.errors import FormatError, UsageError, did_you_mean
from conformance.verdicts import EXIT_USAGE

if TYPE_CHECKING:
    import argparse

EXIT_INVALID = 1

EXAMPLES = (
    "llm-conformance validate hf-config my-checkpoint/config.json",
    "llm-conformance validate safetensors my-checkpoint/*.safetensors",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the kind and the files."""
    parser.add_argument("kind", metavar="KIND", help=", ".join(formats.kinds()))
    parser.add_argument("files", metavar="FILE", nargs="+")


def run(options: argparse.Namespace) -> int:
    """Check each file, whatever became of those before it; the worst decides the exit code."""
    if options.kind not in formats.kinds():
        hint = did_you_mean(options.kind, formats.kinds())
        raise UsageError(f"there is no format of kind {options.kind!r}.{hint}")
    return max(_check(options.kind, file) for file in options.files)


def _check(kind: str, file: str) -> int:
    try:
        formats.check_file(kind, Path(file))
    except FormatError as error:
        print(f"invalid  {error if error.file else error.in_file(file)}")
        return EXIT_INVALID
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    print(f"ok       {file}")
    return 0
