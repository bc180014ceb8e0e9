"""The tensors of an encoder-decoder: Hugging Face's names and shapes, in one canonical order.

As ``T5ForConditionalGeneration`` writes them. Dense layers are stored (out, in) and have no biases;
each stack's bias table stands in its first layer. Nothing here holds values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference_model.encoder_decoder.config import EncoderDecoderConfig

    Shapes = dict[str, tuple[int, ...]]

SHARED = "shared.weight"
HEAD = "lm_head.weight"


def tensor_shapes(config: EncoderDecoderConfig) -> Shapes:
    """Return every tensor's shape by name, from the embedding to the head."""
    shapes: Shapes = {SHARED: (config.vocab, config.dim)}
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for i in range(layers):
            shapes |= _layer(f"{stack}.block.{i}.layer.", config, crossing=stack == "decoder")
            if i == 0:
                table = (config.buckets.count, config.heads)
                name = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
                shapes[name] = table
        shapes[f"{stack}.final_layer_norm.weight"] = (config.dim,)
    if not config.tied:
        shapes[HEAD] = (config.vocab, config.dim)
    return shapes


def _layer(prefix: str, config: EncoderDecoderConfig, *, crossing: bool) -> Shapes:
    dim, inner = config.dim, config.heads * config.head_dim
    shapes: Shapes = {}
    attentions = ("SelfAttention", "EncDecAttention")[: 1 + crossing]
    for place, name in enumerate(attentions):
        shapes |= {f"{prefix}{place}.{name}.{part}.weight": (inner, dim) for part in "qkv"}
        shapes[f"{prefix}{place}.{name}.o.weight"] = (dim, inner)
        shapes[f"{prefix}{place}.layer_norm.weight"] = (dim,)
    last = f"{prefix}{len(attentions)}."
    for name in ("wi_0", "wi_1") if config.gated else ("wi",):
        shapes[f"{last}DenseReluDense.{name}.weight"] = (config.hidden, dim)
    shapes[f"{last}DenseReluDense.wo.weight"] = (dim, config.hidden)
    shapes[f"{last}layer_norm.weight"] = (dim,)
    return shapes
