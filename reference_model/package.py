"""Model packages of the suite's own models, as Hugging Face folders; the same bytes every time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safetensors.numpy import save_file

from reference_model.checkpoint import SINGLE
from reference_model.huggingface import write_config

if TYPE_CHECKING:
    from pathlib import Path

    from reference_model.zoo import SuiteModel


def config_text(model: SuiteModel) -> str:
    """Return the text of a suite model's ``config.json``."""
    return json.dumps(write_config(model.config), indent=2, sort_keys=True) + "\n"


def write_package(model: SuiteModel, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` of a suite model into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config_text(model), encoding="utf-8", newline="\n")
    # transformers refuses a file that does not say which framework's layout it has.
    save_file(model.weights(), folder / SINGLE, metadata={"format": "pt"})
