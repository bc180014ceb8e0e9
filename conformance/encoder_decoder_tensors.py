"""Which tensors an encoder-decoder's folder holds, by the names of Hugging Face's classes.

Those are T5ForConditionalGeneration and MarianMTModel. The embedding may be stored once more for
each stack, and for the head where that is tied; so may an original Transformer's sinusoids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.encoder_decoder_configs import is_transformer
from conformance.formats.t5_config import is_tied
from conformance.oracles.encoder_decoder import architecture as t5
from conformance.oracles.encoder_decoder.transformer import architecture as transformer
from conformance.oracles.encoder_decoder.transformer.model import sinusoids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

_SHARED, _HEAD = "shared.weight", "lm_head.weight"
_STACKS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_PLACES = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""A table that early checkpoints of T5 hold, and that nothing has ever read."""


def canonical_names(stored: Iterable[str]) -> dict[str, str]:
    """Return the stored name of each tensor by the name that it goes by here: the same."""
    return {name: name for name in stored}


def expected_shapes(config: Mapping[str, Any], _: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors that a config asks for."""
    if is_transformer(config):
        return transformer.weight_shapes(transformer.TransformerArchitecture.of(config))
    return t5.weight_shapes(t5.EncoderDecoderArchitecture.of(config))


def repeated(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the tensors that may be stored once more, with what each has to repeat."""
    if is_transformer(config):
        stacks = (f"model.{name}" for name in _STACKS)
        return dict.fromkeys((*stacks, _HEAD), f"model.{_SHARED}")
    return dict.fromkeys((*_STACKS, *([_HEAD] if is_tied(config) else [])), _SHARED)


def constants(config: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the tensors that may be stored and are no weights, with their exact values."""
    if not is_transformer(config):
        return {}
    shape = transformer.TransformerArchitecture.of(config)
    return dict.fromkeys(_PLACES, sinusoids(shape.max_positions, shape.dim))


def is_tolerated(name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a tensor may be there and says nothing of what is computed."""
    return name == _UNUSED or name in repeated(config) or name in constants(config)
