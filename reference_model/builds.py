"""The ONNX builds of a model: what can be chosen of them, and the name of each one's file.

Importable without torch, which is needed only to make one (``export``).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FUSED_SINCE = 23
"""The opset from which the standard has Attention, RMSNormalization and RotaryEmbedding."""
OPSETS = (20, FUSED_SINCE, 24, 25)
"""The oldest is the default: every step of the decoder is nodes of its own."""
DTYPES = MappingProxyType({"float32": "", "float16": "_fp16", "bfloat16": "_bf16"})
"""Types of weights, activations, cache and logits, with what they add to a file's name."""

ENCODER, STEPS = "encoder_", "decoder_with_past_"
"""What stands before a file's name where an encoder-decoder has further graphs, for steps."""


@dataclass(frozen=True, slots=True)
class Build:
    """One way to write a decoder as an ONNX graph."""

    opset: int = OPSETS[0]
    dtype: str = "float32"
    external: bool = False
    """Whether the weights are in a file beside the graph, however small they are."""

    @property
    def fused(self) -> bool:
        """Whether the graph holds the large operators, and not what they are composed of."""
        return self.opset >= FUSED_SINCE

    @property
    def file(self) -> str:
        """The name of its file in a model package; that of the default is ``model.onnx``."""
        opset = "" if self.opset == OPSETS[0] else f"_opset{self.opset}"
        return f"model{opset}{DTYPES[self.dtype]}{'_external' if self.external else ''}.onnx"

    def __str__(self) -> str:
        return f"opset {self.opset}, {self.dtype}{', external data' if self.external else ''}"


BUILDS: Mapping[str, Build] = MappingProxyType(
    {
        build.file: build
        for opset in OPSETS
        for dtype in DTYPES
        for external in (False, True)
        for build in (Build(opset, dtype, external),)
    }
)
"""Every build by the name of its file."""


def whole_of(file: str) -> str:
    """Return the name of the graph of both sides that a graph for steps stands beside."""
    return file.removeprefix(ENCODER).removeprefix(STEPS)
