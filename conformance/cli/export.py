"""Write one of the suite's model packages into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conformance.cli._choices import one_of
from conformance.errors import UsageError
from reference_model.builds import DTYPES, FUSED_SINCE, OPSETS, Build

if TYPE_CHECKING:
    import argparse

_FORMATS = ("safetensors", "onnx")
_DEFAULT = Build()

EXAMPLES = (
    "llm-conformance export llama-gqa ./llama-gqa",
    "llm-conformance export llama-gqa ./llama-gqa --format safetensors",
    "llm-conformance export llama-gqa ./llama-gqa --opset 24 --dtype float16 --external-data",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the model, the folder, the format and what can be chosen of a graph."""
    parser.add_argument("model", metavar="MODEL", help="a name that `list models` shows")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        type=one_of("package format", _FORMATS),
        default="onnx",
        help="what to write (default: onnx, with its weights)",
    )
    opsets = [str(opset) for opset in OPSETS]
    parser.add_argument(
        "--opset",
        choices=opsets,
        type=one_of("opset of an ONNX build", opsets),
        default=str(_DEFAULT.opset),
        help=f"of the graph (default: {_DEFAULT.opset}); from {FUSED_SINCE} on it has the large "
        "operators Attention, RMSNormalization and RotaryEmbedding",
    )
    parser.add_argument(
        "--dtype",
        choices=list(DTYPES),
        type=one_of("type of an ONNX build", DTYPES),
        default=_DEFAULT.dtype,
        help=f"of the graph's weights and activations (default: {_DEFAULT.dtype})",
    )
    parser.add_argument(
        "--external-data",
        action="store_true",
        help="put the graph's weights into a file beside it, which large models get anyway",
    )


def run(options: argparse.Namespace) -> int:
    """Write the package, and print the name of each file."""
    from conformance import models  # noqa: PLC0415  # the other verbs answer without it

    if options.folder.exists() and not options.folder.is_dir():
        raise UsageError(f"{options.folder} is a file; name a folder")
    if options.folder.exists() and any(options.folder.iterdir()):
        raise UsageError(f"{options.folder} is not empty: nothing was written")
    build = Build(int(options.opset), options.dtype, external=options.external_data)
    if options.format != "onnx" and build != _DEFAULT:
        raise UsageError(
            f"--opset, --dtype and --external-data are about a graph: with --format "
            f"{options.format} there is none. Leave them out, or take --format onnx"
        )
    named = build.file if options.format == "onnx" else None
    for file in models.export(options.model, options.folder, named):
        print(file)
    return 0
