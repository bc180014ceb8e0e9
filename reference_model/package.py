"""Model packages of the suite's own models, as Hugging Face folders; the same bytes every time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from safetensors.numpy import save_file

from reference_model.checkpoint import SINGLE, form_of
from reference_model.config import ModelConfig
from reference_model.encoder import huggingface as encoders
from reference_model.encoder.config import EncoderConfig
from reference_model.encoder_decoder import folders as encoder_decoders
from reference_model.families import is_fused
from reference_model.forms import scattered
from reference_model.huggingface import open_folder, write_config

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from reference_model.encoder_decoder.folders import Config as EncoderDecoderConfig


class Writable(Protocol):
    """What a package is made of: a seeded, a planted or a trained model, or one that encodes."""

    @property
    def config(self) -> ModelConfig | EncoderConfig | EncoderDecoderConfig:
        """The decoder, the encoder, or both in one."""

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights, float32, in canonical order."""


def config_text(model: Writable) -> str:
    """Return the text of a suite model's ``config.json``."""
    config = model.config
    if isinstance(config, ModelConfig):
        document = write_config(config)
    elif isinstance(config, EncoderConfig):
        document = encoders.write_config(config)
    else:
        document = encoder_decoders.write_config(config)
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def read_weights(model: Writable, folder: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a suite model's folder, in canonical order.

    Raises:
        ConfigError: the folder is not understood.
    """
    if isinstance(model.config, ModelConfig):
        return open_folder(folder)[1]
    if isinstance(model.config, EncoderConfig):
        return encoders.open_folder(folder)[1]
    return encoder_decoders.open_folder(folder)[1]


def write_package(model: Writable, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` of a suite model into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config_text(model), encoding="utf-8", newline="\n")
    # transformers refuses a file that does not say which framework's layout it has.
    config = model.config
    form = {}
    if isinstance(config, ModelConfig):
        form = form_of(config, fused=is_fused(config))
    written = scattered(model.weights(), form)
    save_file(written, folder / SINGLE, metadata={"format": "pt"})
