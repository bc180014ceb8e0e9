"""ONNX graphs from any model folder that can be read.

The same input gives the same bytes. Whether an export is right is for the suite to judge, not here.
Shape suffixes are those of ``model``; P is the count of past tokens in the cache.
"""

# mypy: disallow-subclassing-any=False
# torch is untyped to mypy here, and what is exported has to be an nn.Module.

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from reference_model.answers import LayerCache
from reference_model.builds import Build
from reference_model.fused import FusedDecoder
from reference_model.model import Decoder, load_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


EXTERNAL_ABOVE = 1 << 30
"""Bytes of weights from which they go to a file beside the graph: protobuf ends at 2 GiB."""
_DEFAULT = Build()


def write_onnx(
    folder: Path, file: Path, build: Build = _DEFAULT, metadata: Mapping[str, str] | None = None
) -> None:
    """Export the model of a folder as one ONNX graph, with weights rounded once to its type.

    Inputs ``input_ids`` (B, T), ``attention_mask`` (B, P + T), ``position_ids`` (B, T), all int64,
    and ``past_key_values.<i>.key`` and ``.value`` (B, G, P, K); outputs ``logits`` (B, T, V),
    ``present.<i>.key`` and ``.value`` (B, G, P + T, K). B, T and P are free, and P may be 0. The
    residual stream after each layer (B, T, D) is the inner value ``layer.<i>``, and no output.
    ``build`` is one of ``builds.BUILDS``; ``metadata`` becomes the graph's ``metadata_props``.

    Raises:
        ConfigError: the folder is no decoder that ``huggingface.open_folder`` understands.
    """
    decoder = load_decoder(Path(folder), getattr(torch, build.dtype))
    layers = range(decoder.config.layers)
    with quiet():
        program = torch.onnx.export(
            _Flat(FusedDecoder(decoder) if build.fused else decoder).eval(),
            _example(decoder),
            dynamo=True,
            opset_version=build.opset,
            input_names=[
                "input_ids",
                "attention_mask",
                "position_ids",
                *_names("past_key_values", layers),
            ],
            output_names=["logits", *_names("present", layers), *_taps(layers)],
            dynamic_shapes=_dynamic(decoder),
            optimize=True,
            verbose=False,
        )
        _hide_taps(program.model, layers)
        strip(program.model)
        name_sizes(program.model)
        program.model.metadata_props.update(metadata or {})
        size = sum(parameter.nbytes for parameter in decoder.parameters())
        program.save(file, external_data=build.external or size > EXTERNAL_ABOVE)


class _Flat(nn.Module):
    """The decoder with its cache as a flat list of tensors, as a graph has it."""

    def __init__(self, decoder: Decoder | FusedDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        input_ids_BT: Tensor,
        attention_mask_BS: Tensor,
        position_ids_BT: Tensor,
        *past: Tensor,
    ) -> tuple[Tensor, ...]:
        pairs = zip(past[::2], past[1::2], strict=True)
        cache = tuple(LayerCache(k_BGSK, v_BGSK) for k_BGSK, v_BGSK in pairs)
        output = self.decoder(input_ids_BT, attention_mask_BS, position_ids_BT, cache, taps=True)
        taps = (output.taps[name] for name in _taps(range(self.decoder.config.layers)))
        return (output.logits_BTV, *(tensor for layer in output.cache for tensor in layer), *taps)


def _names(prefix: str, layers: range) -> list[str]:
    return [f"{prefix}.{i}.{part}" for i in layers for part in ("key", "value")]


def _taps(layers: range) -> list[str]:
    return [f"layer.{i}" for i in layers]


def _hide_taps(model: Any, layers: range) -> None:
    """Leave the stream after each layer its name, and take it from the outputs.

    So the tracer says which value it is, and a runtime is free to fuse it away.
    """
    hidden = set(_taps(layers))
    kept = [value for value in model.graph.outputs if value.name not in hidden]
    model.graph.outputs[:] = kept


def _example(decoder: Decoder) -> tuple[Tensor, ...]:
    """Return arguments to trace with; no two sizes are equal, so that none are taken for one."""
    batch, tokens, past = 2, 3, 5
    attention = decoder.config.attention
    dtype = decoder.model.embed_tokens.weight.dtype
    past_BGPK = torch.zeros(batch, attention.kv_heads, past, attention.head_dim, dtype=dtype)
    return (
        torch.zeros(batch, tokens, dtype=torch.int64),
        torch.ones(batch, past + tokens, dtype=torch.int64),
        torch.arange(past, past + tokens).expand(batch, tokens).contiguous(),
        *(past_BGPK.clone() for _ in range(2 * decoder.config.layers)),
    )


def _dynamic(decoder: Decoder) -> tuple[Any, ...]:
    free = torch.export.Dim.DYNAMIC
    past = tuple({0: free, 2: free} for _ in range(2 * decoder.config.layers))
    return ({0: free, 1: free}, {0: free, 1: free}, {0: free, 1: free}, past)


def strip(model: Any) -> None:
    """Take away stack traces and the like: they hold paths of the exporting machine."""
    model.metadata_props.clear()
    model.doc_string = None
    model.graph.metadata_props.clear()
    model.graph.doc_string = None
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value in _values(model):
        value.metadata_props.clear()


def name_sizes(model: Any) -> None:
    """Give the free sizes names that say what they are, in place of the tracer's numbers."""
    names: dict[str, str] = {}
    for value in model.graph.inputs:
        sizes = ("batch", "tokens") if len(value.shape) == 2 else ("batch", "", "past", "")
        if value.name == "attention_mask":
            sizes = ("batch", "keys")
        names |= {
            str(dim.value): size for dim, size in zip(value.shape, sizes, strict=True) if size
        }
    for value in _values(model):
        if value.shape is not None:
            value.shape = ir.Shape([_renamed(dim, names) for dim in value.shape])


def _renamed(dim: Any, names: Mapping[str, str]) -> int | str | None:
    """Return a size with the symbols in it renamed: ``s19 + s70`` to ``past + tokens``."""
    if isinstance(dim, int):
        return dim
    if dim.value is None:
        return None
    terms = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), str(dim.value)).split(" + ")
    return " + ".join(sorted(terms))  # the tracer's order of a sum varies


def _values(model: Any) -> Iterator[Any]:
    yield from (*model.graph.inputs, *model.graph.initializers.values())
    for node in model.graph.all_nodes():
        yield from node.outputs


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what is known to be harmless; anything else is still told.

    torch's exporter warns of a deprecation inside torch, and logs that torchvision, whose operators
    no decoder has, is not installed.
    """
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    log.addFilter(_not_about_torchvision)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        log.removeFilter(_not_about_torchvision)


def _not_about_torchvision(record: logging.LogRecord) -> bool:
    return "torchvision is not installed" not in record.getMessage()
