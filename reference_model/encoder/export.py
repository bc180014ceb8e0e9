"""ONNX graphs of encoders; the same input gives the same bytes.

Every step is nodes of its own, whatever the opset. Shape suffixes are those of ``model``.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and what is exported has to be an nn.Module.

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from reference_model.builds import Build
from reference_model.encoder.model import Encoder, load_encoder
from reference_model.export import EXTERNAL_ABOVE, name_sizes, quiet, strip

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""The graph's inputs, int64 (B, T) each."""
OUTPUTS = ("last_hidden_state", "pooler_output", "logits")
"""The graph's outputs, (B, T, D), (B, D) and (B, T, V), of those that the encoder has."""
_DEFAULT = Build()


def write_onnx(
    folder: Path, file: Path, build: Build = _DEFAULT, metadata: Mapping[str, str] | None = None
) -> None:
    """Export the encoder of a folder as one ONNX graph, with weights rounded once to its type.

    Inputs and outputs are :data:`INPUTS` and :data:`OUTPUTS`; B and T are free. ``build`` is one
    of ``builds.BUILDS``; ``metadata`` becomes the graph's ``metadata_props``.

    Raises:
        ConfigError: the folder is no encoder that ``huggingface.open_folder`` understands.
    """
    encoder = load_encoder(Path(folder), getattr(torch, build.dtype))
    free = torch.export.Dim.DYNAMIC
    # No two sizes are equal, so that none are taken for one.
    example = [torch.zeros(2, 3, dtype=torch.int64) for _ in INPUTS]
    with quiet():
        program = torch.onnx.export(
            _Flat(encoder).eval(),
            tuple(example),
            dynamo=True,
            opset_version=build.opset,
            input_names=list(INPUTS),
            output_names=outputs_of(encoder),
            dynamic_shapes=tuple({0: free, 1: free} for _ in INPUTS),
            optimize=True,
            verbose=False,
        )
        strip(program.model)
        name_sizes(program.model)
        program.model.metadata_props.update(metadata or {})
        size = sum(parameter.nbytes for parameter in encoder.parameters())
        program.save(file, external_data=build.external or size > EXTERNAL_ABOVE)


def outputs_of(encoder: Encoder) -> list[str]:
    """Return the names of what an encoder answers."""
    there = (True, encoder.config.pooler, encoder.config.head)
    return [name for name, has in zip(OUTPUTS, there, strict=True) if has]


class _Flat(nn.Module):
    """The encoder with its answers as a flat tuple, as a graph has them."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, input_ids_BT: Tensor, attention_mask_BT: Tensor, token_type_ids_BT: Tensor
    ) -> tuple[Any, ...]:
        """Return what is there of hidden states, pooled vector and logits."""
        output = self.encoder(input_ids_BT, attention_mask_BT, token_type_ids_BT)
        return tuple(part for part in output if part is not None)
