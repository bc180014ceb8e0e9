"""Folders of encoder-decoders of every shape, by ``model_type``. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_model import json_values
from reference_model.encoder_decoder import huggingface as t5
from reference_model.encoder_decoder.config import EncoderDecoderConfig
from reference_model.encoder_decoder.transformer import huggingface as marian
from reference_model.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reference_model.encoder_decoder.transformer.config import TransformerConfig

    Config = EncoderDecoderConfig | TransformerConfig
    Tensors = dict[str, NDArray[Any]]

_READERS = {reader.MODEL_TYPE: reader for reader in (t5, marian)}


def open_folder(path: Path) -> tuple[Config, Tensors]:
    """Read a model folder: ``config.json`` and its safetensors, single or sharded.

    Returns:
        The config, and every tensor in its own type, by name in canonical order.

    Raises:
        ConfigError: a file is missing or not understood, or the tensors are not the config's.
    """
    folder = Path(path)
    document = json_values.load(folder / "config.json")
    found = document.get("model_type")
    if found not in _READERS:
        known = " or ".join(map(repr, _READERS))
        raise ConfigError(f"config.json: model_type is {found!r}; only {known} is computed here")
    opened: tuple[Config, Tensors] = _READERS[found].open_folder(folder)
    return opened


def write_config(config: Config, dtype: str = "float32") -> dict[str, Any]:
    """Return the content of a ``config.json``, with the keys of transformers 4 and 5."""
    if isinstance(config, EncoderDecoderConfig):
        return t5.write_config(config, dtype)
    return marian.write_config(config, dtype)
