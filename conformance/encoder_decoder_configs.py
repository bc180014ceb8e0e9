"""config.json of encoder-decoders of every shape, by ``model_type``."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from conformance.formats import marian_config, t5_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

_FORMATS: Mapping[str, ModuleType] = MappingProxyType(
    {form.MODEL_TYPE: form for form in (t5_config, marian_config)}
)


def is_encoder_decoder(document: Any) -> bool:
    """Return whether a config.json is an encoder-decoder's, whatever else is wrong with it."""
    kind = document.get("model_type") if isinstance(document, dict) else None
    return isinstance(kind, str) and kind in _FORMATS


def is_transformer(document: Any) -> bool:
    """Return whether it is that of an encoder-decoder of the original Transformer's shape."""
    return bool(document["model_type"] == marian_config.MODEL_TYPE)


def check(document: Any) -> None:
    """Check the content of an encoder-decoder's config.json: layers L2 and L3.

    Raises:
        FormatError: the document is refused.
    """
    _FORMATS[document["model_type"]].check(document)
