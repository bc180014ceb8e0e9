"""Which weights the oracle's decoder has, and their shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance.oracles.architecture import Architecture

QKV = ("q_proj", "k_proj", "v_proj")
"""The projections that have a bias where not all have."""


def weight_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight that a decoder needs, by Llama's names in Hugging Face.

    A vector of each position is ``model.embed_positions``.
    """
    a = architecture
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (a.vocab, a.dim)}
    if a.learned:
        shapes["model.embed_positions.weight"] = (a.max_positions, a.dim)
    if a.embedding_norm:
        shapes |= {f"model.embed_norm.{kind}": (a.dim,) for kind in _kinds(a)}
    for i in range(a.layers):
        layer = _layer_shapes(a, mixture=a.is_mixture(i))
        shapes |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    shapes |= {f"model.norm.{kind}": (a.dim,) for kind in _kinds(a)}
    if not a.tied:
        shapes["lm_head.weight"] = (a.vocab, a.dim)
    return shapes


def _layer_shapes(a: Architecture, *, mixture: bool) -> dict[str, tuple[int, ...]]:
    queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    products: dict[str, tuple[int, int]] = {
        "self_attn.q_proj": (queries, a.dim),
        "self_attn.k_proj": (keys, a.dim),
        "self_attn.v_proj": (keys, a.dim),
        "self_attn.o_proj": (a.dim, queries),
        "mlp.gate_proj": (a.hidden, a.dim),
        "mlp.up_proj": (a.hidden, a.dim),
        "mlp.down_proj": (a.dim, a.hidden),
    }
    if not a.gated:
        del products["mlp.gate_proj"]
    if mixture:
        names = [name for name in products if name.startswith("mlp.")]
        for name in names:
            del products[name]
        products |= _expert_shapes(a, names)
    layer: dict[str, tuple[int, ...]] = {}
    for name, shape in products.items():
        layer[f"{name}.weight"] = shape
        if a.all_biased or (a.biased and name.endswith(QKV)):
            layer[f"{name}.bias"] = shape[:1]
    if a.sinks:
        layer["self_attn.sinks"] = (a.heads,)
    if a.head_norms:
        layer |= {f"self_attn.{x}_norm.weight": (a.head_dim,) for x in "qk"}
    for name in ("input", "post_attention", *(_AROUND if a.sandwich else ())):
        layer |= {f"{name}_layernorm.{kind}": (a.dim,) for kind in _kinds(a)}
    return layer


def _expert_shapes(a: Architecture, names: list[str]) -> dict[str, tuple[int, int]]:
    """Return the products of a mixture; ``names`` are those of one feed-forward."""
    products = {"mlp.gate": (a.experts, a.dim)}
    widths = {f"experts.{e}": a.expert_hidden or a.hidden for e in range(a.experts)}
    if a.shared_hidden:
        products["mlp.shared_expert_gate"] = (1, a.dim)
        widths["shared_expert"] = a.shared_hidden
    for one, width in widths.items():
        for name in names:
            shape = (a.dim, width) if name.endswith("down_proj") else (width, a.dim)
            products[name.replace("mlp.", f"mlp.{one}.")] = shape
    return products


def _kinds(a: Architecture) -> tuple[str, ...]:
    """Return the tensors of a norm."""
    return ("weight", "bias") if a.centred else ("weight",)


_AROUND = ("pre_feedforward", "post_feedforward")
"""The norms that a layer with norms behind its parts has beside the other two."""
