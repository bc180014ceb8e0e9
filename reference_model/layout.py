"""The tensors of a decoder: Hugging Face's names and shapes, in the one canonical order.

Projections are stored (out, in), as ``torch.nn.Linear`` keeps them. Nothing here holds values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference_model.config import ModelConfig

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
POSITIONS = "model.embed_positions.weight"
EMBEDDING_NORM = "model.embed_norm"
HEAD = "lm_head.weight"
_POST_NORMS = ("pre_feedforward_layernorm", "post_feedforward_layernorm")
"""With them ``post_attention_layernorm`` is one behind attention too."""


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return every tensor's shape by name, from the embedding to the output head.

    A tied model has no head of its own.
    """
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (config.vocab, config.dim)}
    if config.learned_positions:
        shapes[POSITIONS] = (config.max_positions, config.dim)
    if config.embedding_norm:
        shapes |= _norm_shapes(config, EMBEDDING_NORM)
    for layer in range(config.layers):
        for name, shape in _layer_shapes(config, layer).items():
            shapes[f"model.layers.{layer}.{name}"] = shape
    shapes |= _norm_shapes(config, "model.norm")
    if not config.tied:
        shapes[HEAD] = (config.vocab, config.dim)
    return shapes


def _layer_shapes(config: ModelConfig, layer: int) -> dict[str, tuple[int, ...]]:
    shapes = _norm_shapes(config, "input_layernorm")
    shapes |= {f"self_attn.{name}": shape for name, shape in _attention_shapes(config).items()}
    shapes |= _norm_shapes(config, "post_attention_layernorm")
    if config.post_norms:
        for name in _POST_NORMS:
            shapes |= _norm_shapes(config, name)
    feed_forward = _feed_forward_shapes(config, layer)
    return shapes | {f"mlp.{name}": shape for name, shape in feed_forward.items()}


def _norm_shapes(config: ModelConfig, name: str) -> dict[str, tuple[int, ...]]:
    kinds = ("weight", "bias") if config.norm.centred else ("weight",)
    return {f"{name}.{kind}": (config.dim,) for kind in kinds}


def _feed_forward_shapes(config: ModelConfig, layer: int) -> dict[str, tuple[int, ...]]:
    experts = config.mlp.experts_of(layer)
    if experts is None:
        return _mlp_shapes(config, config.mlp.hidden)
    each = _mlp_shapes(config, config.mlp.expert_hidden)
    shapes: dict[str, tuple[int, ...]] = {"gate.weight": (experts.count, config.dim)}
    if experts.bias:
        shapes["gate.bias"] = (experts.count,)
    for e in range(experts.count):
        shapes |= {f"experts.{e}.{name}": shape for name, shape in each.items()}
    if experts.shared:
        shared = _mlp_shapes(config, experts.shared)
        shapes |= {f"shared_expert.{name}": shape for name, shape in shared.items()}
        shapes["shared_expert_gate.weight"] = (1, config.dim)
    return shapes


def _mlp_shapes(config: ModelConfig, hidden: int) -> dict[str, tuple[int, ...]]:
    dim = config.dim
    shapes: dict[str, tuple[int, ...]] = {}
    for name, out, read in (
        *((("gate_proj", hidden, dim),) if config.mlp.gated else ()),
        ("up_proj", hidden, dim),
        ("down_proj", dim, hidden),
    ):
        shapes[f"{name}.weight"] = (out, read)
        if config.mlp.bias:
            shapes[f"{name}.bias"] = (out,)
    return shapes


def _attention_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    attention = config.attention
    queries, keys = (n * attention.head_dim for n in (attention.heads, attention.kv_heads))
    shapes: dict[str, tuple[int, ...]] = {}
    for name, size in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
        shapes[f"{name}.weight"] = (size, config.dim)
        if attention.qkv_bias:
            shapes[f"{name}.bias"] = (size,)
    shapes["o_proj.weight"] = (config.dim, queries)
    if attention.out_bias:
        shapes["o_proj.bias"] = (config.dim,)
    if attention.sinks:
        shapes["sinks"] = (attention.heads,)
    if attention.qk_norm:
        shapes |= {f"{name}.weight": (attention.head_dim,) for name in ("q_norm", "k_norm")}
    return shapes
