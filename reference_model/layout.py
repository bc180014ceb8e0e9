"""The tensors of a decoder: Hugging Face's names and shapes, in the one canonical order.

Projections are stored (out, in), as ``torch.nn.Linear`` keeps them. Nothing here holds values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference_model.config import ModelConfig

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
HEAD = "lm_head.weight"


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return every tensor's shape by name, from the embedding to the output head.

    A tied model has no head of its own.
    """
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (config.vocab, config.dim)}
    for layer in range(config.layers):
        for name, shape in _layer_shapes(config).items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    shapes[FINAL_NORM] = (config.dim,)
    if not config.tied:
        shapes[HEAD] = (config.vocab, config.dim)
    return shapes


def _layer_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    dim, hidden = config.dim, config.mlp.hidden
    queries = config.attention.heads * config.attention.head_dim
    keys = config.attention.kv_heads * config.attention.head_dim
    return {
        "input_layernorm": (dim,),
        "self_attn.q_proj": (queries, dim),
        "self_attn.k_proj": (keys, dim),
        "self_attn.v_proj": (keys, dim),
        "self_attn.o_proj": (dim, queries),
        "post_attention_layernorm": (dim,),
        "mlp.gate_proj": (hidden, dim),
        "mlp.up_proj": (hidden, dim),
        "mlp.down_proj": (dim, hidden),
    }
