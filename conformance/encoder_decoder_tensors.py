"""Which tensors an encoder-decoder's folder holds, by the names of T5ForConditionalGeneration.

The embedding may be stored once more for each stack, and for the head where that is tied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.formats.t5_config import is_tied
from conformance.oracles.encoder_decoder.architecture import (
    EncoderDecoderArchitecture,
    weight_shapes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHARED, _HEAD = "shared.weight", "lm_head.weight"
_STACKS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""A table that early checkpoints hold, and that nothing has ever read."""


def canonical_names(stored: Iterable[str]) -> dict[str, str]:
    """Return the stored name of each tensor by the name that it goes by here: the same."""
    return {name: name for name in stored}


def expected_shapes(config: Mapping[str, Any], _: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors that a config asks for."""
    return weight_shapes(EncoderDecoderArchitecture.of(config))


def repeated(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the tensors that may be stored once more, with what each has to repeat."""
    return dict.fromkeys((*_STACKS, *([_HEAD] if is_tied(config) else [])), _SHARED)


def is_tolerated(name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a tensor may be there and says nothing of what is computed."""
    return name == _UNUSED or name in repeated(config)
