"""The trained model: a byte-level decoder of the suite's own training, shipped as a file.

Its margins, norms and attention are those of a language model, which no seed gives. ``train.py``
made the file, ``text.py`` the text that it was trained on; nobody else's text is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reference_model import layout, text
from reference_model.config import Attention, Mlp, ModelConfig, Norm, Rope

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model whose weights are a file. ``digest`` is ``weights.digest`` of its weights."""

    name: str
    summary: str
    config: ModelConfig
    file: str
    """Beside this module; safetensors, float16, which float32 holds exactly."""
    digest: str

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights, float32, in canonical order."""
        from safetensors.numpy import load_file  # noqa: PLC0415  # who lists models reads none

        held = load_file(Path(__file__).with_name(self.file))
        return {name: held[name].astype(np.float32) for name in layout.tensor_shapes(self.config)}


BYTES = TrainedModel(
    name="trained-bytes",
    summary="trained on bytes of generated text in five scripts, 4 layers, window of 256 tokens",
    config=ModelConfig(
        vocab=text.VOCAB,
        dim=128,
        layers=4,
        attention=Attention(heads=4, kv_heads=2, head_dim=32),
        rope=Rope(theta=10000.0),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=352),
        tied=False,
        max_positions=256,
    ),
    file="trained_bytes.safetensors",
    digest="44584285f01c99645bb2a6d7b8875f4f80d2c015058ba671a16ed0f2a7ea2ba0",
)
