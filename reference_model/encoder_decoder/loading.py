"""Encoder-decoders of every shape with their weights, in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from reference_model.encoder_decoder.config import EncoderDecoderConfig
from reference_model.encoder_decoder.folders import open_folder
from reference_model.encoder_decoder.model import EncoderDecoder
from reference_model.encoder_decoder.transformer.model import Transformer
from reference_model.filling import to_torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from reference_model.encoder_decoder.folders import Config

    AnyEncoderDecoder = EncoderDecoder | Transformer


def build_encoder_decoder(
    config: Config, weights: Mapping[str, NDArray[Any]], dtype: torch.dtype = torch.float32
) -> AnyEncoderDecoder:
    """Return an encoder-decoder with the given weights, each rounded once to ``dtype``.

    Raises:
        RuntimeError: a tensor is missing, superfluous or of another shape.
        ValueError: the config contradicts itself.
    """
    made: AnyEncoderDecoder
    if isinstance(config, EncoderDecoderConfig):
        made = EncoderDecoder(config)
    else:
        made = Transformer(config)
    model: AnyEncoderDecoder = made.to(dtype)
    # Whoever wrote an original Transformer has all but a bias in a ``model`` of its own.
    named = {name.removeprefix("model."): to_torch(array) for name, array in weights.items()}
    model.load_state_dict(named)
    model.eval().requires_grad_(requires_grad=False)
    return model


def load_encoder_decoder(folder: Path, dtype: torch.dtype = torch.float32) -> AnyEncoderDecoder:
    """Return the encoder-decoder of a model package.

    Raises:
        ConfigError: the folder is none that ``folders.open_folder`` understands.
    """
    return build_encoder_decoder(*open_folder(folder), dtype=dtype)
