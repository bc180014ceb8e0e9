"""ONNX graphs of encoder-decoders; the same input gives the same bytes.

One graph holds both sides: a source and a whole target go in. Every step is nodes of its own,
whatever the opset. Shape suffixes are those of ``model``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from reference_model.builds import Build
from reference_model.encoder_decoder.model import load_encoder_decoder
from reference_model.export import EXTERNAL_ABOVE, name_sizes, quiet, strip

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS = ("input_ids", "attention_mask", "decoder_input_ids")
"""The graph's inputs, int64: (B, S), (B, S) and (B, T)."""
OUTPUTS = ("encoder_last_hidden_state", "logits")
"""The graph's outputs, (B, S, D) and (B, T, V)."""
_DEFAULT = Build()


def write_onnx(
    folder: Path, file: Path, build: Build = _DEFAULT, metadata: Mapping[str, str] | None = None
) -> None:
    """Export the encoder-decoder of a folder as one graph, weights rounded once to its type.

    Inputs and outputs are :data:`INPUTS` and :data:`OUTPUTS`; B, S and T are free. ``build`` is one
    of ``builds.BUILDS``; ``metadata`` becomes the graph's ``metadata_props``.

    Raises:
        ConfigError: the folder is none that ``huggingface.open_folder`` understands.
    """
    model = load_encoder_decoder(Path(folder), getattr(torch, build.dtype))
    free = torch.export.Dim.DYNAMIC
    # No two sizes are equal, so that none are taken for one.
    example = [torch.zeros(2, tokens, dtype=torch.int64) for tokens in (3, 3, 5)]
    with quiet():
        program = torch.onnx.export(
            model,
            tuple(example),
            dynamo=True,
            opset_version=build.opset,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes=tuple({0: free, 1: free} for _ in INPUTS),
            optimize=True,
            verbose=False,
        )
        strip(program.model)
        name_sizes(program.model)
        program.model.metadata_props.update(metadata or {})
        size = sum(parameter.nbytes for parameter in model.parameters())
        program.save(file, external_data=build.external or size > EXTERNAL_ABOVE)
