"""Model packages of the suite's own models, as Hugging Face folders; the same bytes every time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from safetensors.numpy import save_file

from reference_model.checkpoint import SINGLE, form_of
from reference_model.forms import scattered
from reference_model.huggingface import write_config

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from reference_model.config import ModelConfig


class Writable(Protocol):
    """What a package is made of: a seeded or a planted model."""

    @property
    def config(self) -> ModelConfig:
        """The decoder."""

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights, float32, in canonical order."""


def config_text(model: Writable) -> str:
    """Return the text of a suite model's ``config.json``."""
    return json.dumps(write_config(model.config), indent=2, sort_keys=True) + "\n"


def write_package(model: Writable, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` of a suite model into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config_text(model), encoding="utf-8", newline="\n")
    # transformers refuses a file that does not say which framework's layout it has.
    written = scattered(model.weights(), form_of(model.config))
    save_file(written, folder / SINGLE, metadata={"format": "pt"})
