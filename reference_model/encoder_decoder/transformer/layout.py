"""The tensors of an original Transformer: Hugging Face's names and shapes, in one canonical order.

As ``MarianMTModel`` writes them: dense layers are stored (out, in), and have biases. Nothing here
holds values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference_model.encoder_decoder.transformer.config import Side, TransformerConfig

    Shapes = dict[str, tuple[int, ...]]

SHARED = "model.shared.weight"
BIAS = "final_logits_bias"


def tensor_shapes(config: TransformerConfig) -> Shapes:
    """Return every tensor's shape by name, from the embedding to the bias of the logits."""
    shapes: Shapes = {SHARED: (config.vocab, config.dim)}
    for stack, side in (("encoder", config.encoder), ("decoder", config.decoder)):
        for i in range(side.layers):
            prefix = f"model.{stack}.layers.{i}."
            shapes |= _layer(prefix, config.dim, side, crossing=stack == "decoder")
    return {**shapes, BIAS: (1, config.vocab)}


def _layer(prefix: str, dim: int, side: Side, *, crossing: bool) -> Shapes:
    shapes: Shapes = {}
    for name in ("self_attn", "encoder_attn")[: 1 + crossing]:
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _affine(f"{prefix}{name}.{part}", (dim, dim))
        shapes |= _affine(f"{prefix}{name}_layer_norm", (dim,))
    shapes |= _affine(f"{prefix}fc1", (side.hidden, dim))
    shapes |= _affine(f"{prefix}fc2", (dim, side.hidden))
    return shapes | _affine(f"{prefix}final_layer_norm", (dim,))


def _affine(name: str, shape: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
