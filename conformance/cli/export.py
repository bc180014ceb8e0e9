"""Write one of the suite's model packages into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conformance.cli._choices import one_of
from conformance.errors import UsageError

if TYPE_CHECKING:
    import argparse

_FORMATS = ("safetensors", "onnx")

EXAMPLES = (
    "llm-conformance export llama-gqa ./llama-gqa",
    "llm-conformance export llama-gqa ./llama-gqa --format safetensors",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the model, the folder and the format."""
    parser.add_argument("model", metavar="MODEL", help="a name that `list models` shows")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        type=one_of("package format", _FORMATS),
        default="onnx",
        help="what to write (default: onnx, with its weights)",
    )


def run(options: argparse.Namespace) -> int:
    """Write the package, and print the name of each file."""
    from conformance import models  # noqa: PLC0415  # the other verbs answer without it

    if options.folder.exists() and not options.folder.is_dir():
        raise UsageError(f"{options.folder} is a file; name a folder")
    if options.folder.exists() and any(options.folder.iterdir()):
        raise UsageError(f"{options.folder} is not empty: nothing was written")
    for file in models.export(options.model, options.folder, onnx=options.format == "onnx"):
        print(file)
    return 0
