"""ONNX graphs of encoder-decoders; the same input gives the same bytes.

``model.onnx`` holds both sides: a source and a whole target go in. Steps have two graphs beside it,
``encoder_model.onnx``, which answers the source's keys and values too, and
``decoder_with_past_model.onnx``, which reads them. Every step is nodes of its own, whatever the
opset. Shape suffixes are those of ``model``.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and what is exported has to be an nn.Module.

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from reference_model.builds import ENCODER, STEPS, Build
from reference_model.encoder_decoder.cache import KeysValues, TargetCache
from reference_model.encoder_decoder.loading import load_encoder_decoder
from reference_model.encoder_decoder.model import visible_keys
from reference_model.export import EXTERNAL_ABOVE, name_sizes, quiet, strip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference_model.encoder_decoder.loading import AnyEncoderDecoder

INPUTS = ("input_ids", "attention_mask", "decoder_input_ids")
"""The inputs of the graph of both sides, int64: (B, S), (B, S) and (B, T)."""
OUTPUTS = ("encoder_last_hidden_state", "logits")
"""Its outputs, (B, S, D) and (B, T, V)."""
_DEFAULT = Build()
_FREE = torch.export.Dim.DYNAMIC


class _Graph(NamedTuple):
    """A module with what it is traced with, and the names of its inputs and outputs."""

    module: nn.Module
    example: tuple[Tensor, ...]
    dynamic: Any
    inputs: list[str]
    outputs: list[str]


def write_onnx(
    folder: Path, file: Path, build: Build = _DEFAULT, metadata: Mapping[str, str] | None = None
) -> None:
    """Export the encoder-decoder of a folder as one graph, weights rounded once to its type.

    B, S, T and the past are free. ``build`` is one of ``builds.BUILDS``; ``metadata`` becomes the
    graph's ``metadata_props``.

    Args:
        folder: the model.
        file: the graph; by its name, of both sides, of the encoder or of steps.
        build: how it is written.
        metadata: what it says of itself.

    Raises:
        ConfigError: the folder is none that ``folders.open_folder`` understands.
    """
    model = load_encoder_decoder(Path(folder), getattr(torch, build.dtype))
    part = next((p for name, p in _PARTS.items() if Path(file).name.startswith(name)), _whole)
    graph = part(model)
    with quiet():
        program = torch.onnx.export(
            graph.module.eval(),
            graph.example,
            dynamo=True,
            opset_version=build.opset,
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamic_shapes=graph.dynamic,
            optimize=True,
            verbose=False,
        )
        strip(program.model)
        name_sizes(program.model)
        program.model.metadata_props.update(metadata or {})
        size = sum(parameter.nbytes for parameter in model.parameters())
        program.save(file, external_data=build.external or size > EXTERNAL_ABOVE)


def names_of(prefix: str, side: str, layers: int) -> list[str]:
    """Return the names of keys and values of all layers: of the target, or of the source.

    Args:
        prefix: ``present``, or ``past_key_values``.
        side: ``decoder``, or ``encoder``.
        layers: how many the decoder has.
    """
    return [f"{prefix}.{i}.{side}.{part}" for i in range(layers) for part in ("key", "value")]


# No two sizes are equal in what is traced, so that none are taken for one.
_BATCH, _SOURCE, _TARGET, _PAST = 2, 3, 5, 7


def _whole(model: AnyEncoderDecoder) -> _Graph:
    example = tuple(_tokens(n) for n in (_SOURCE, _SOURCE, _TARGET))
    dynamic = tuple({0: _FREE, 1: _FREE} for _ in INPUTS)
    return _Graph(model, example, dynamic, list(INPUTS), list(OUTPUTS))


def _encoder(model: AnyEncoderDecoder) -> _Graph:
    present = names_of("present", "encoder", model.config.decoder_layers)
    return _Graph(
        _Encoding(model),
        (_tokens(_SOURCE), _tokens(_SOURCE)),
        ({0: _FREE, 1: _FREE},) * 2,
        list(INPUTS[:2]),
        [OUTPUTS[0], *present],
    )


def _steps(model: AnyEncoderDecoder) -> _Graph:
    config, dtype = model.config, model.shared.weight.dtype
    layers, shape = config.decoder_layers, (config.heads, config.head_dim)
    kept = [
        torch.zeros(_BATCH, shape[0], length, shape[1], dtype=dtype)
        for length in (_PAST, _SOURCE)
        for _ in range(2 * layers)
    ]
    past = [name for side in _SIDES for name in names_of("past_key_values", side, layers)]
    return _Graph(
        _Step(model),
        (_tokens(_TARGET), _tokens(_SOURCE), *kept),
        ({0: _FREE, 1: _FREE}, {0: _FREE, 1: _FREE}, tuple({0: _FREE, 2: _FREE} for _ in kept)),
        ["input_ids", "encoder_attention_mask", *past],
        ["logits", *names_of("present", "decoder", layers)],
    )


_SIDES = ("decoder", "encoder")
_PARTS = {ENCODER: _encoder, STEPS: _steps}


def _tokens(count: int) -> Tensor:
    return torch.zeros(_BATCH, count, dtype=torch.int64)


class _Encoding(nn.Module):
    """The encoder, and what the decoder's layers read of it."""

    def __init__(self, model: AnyEncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids_BS: Tensor, attention_mask_BS: Tensor) -> tuple[Tensor, ...]:
        """Return the encoded source, and its keys and values, layer by layer."""
        encoded_BSD = self.model.encode(input_ids_BS, attention_mask_BS)
        source = self.model.start(encoded_BSD, attention_mask_BS).source
        return (encoded_BSD, *(tensor for layer in source for tensor in layer))


class _Step(nn.Module):
    """The decoder with its caches as a flat list of tensors, as a graph has them."""

    def __init__(self, model: AnyEncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids_BT: Tensor, encoder_attention_mask_BS: Tensor, *past: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the logits, and keys and values of the target, layer by layer."""
        half = len(past) // 2
        own, source = _pairs(past[:half]), _pairs(past[half:])
        cache = TargetCache(source, visible_keys(encoder_attention_mask_BS), own)
        logits_BTV, cache = self.model.step(input_ids_BT, cache)
        return (logits_BTV, *(tensor for layer in cache.own for tensor in layer))


def _pairs(flat: Sequence[Tensor]) -> tuple[KeysValues, ...]:
    return tuple(KeysValues(*pair) for pair in zip(flat[::2], flat[1::2], strict=True))
