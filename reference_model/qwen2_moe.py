"""Qwen2-MoE's own keys, and the two forms of its checkpoints. Nothing here imports torch.

Routed experts and the shared one have widths of their own, and ``intermediate_size`` is that of the
layers that have one network for all tokens. Transformers 4 writes each expert's matrices under
their own names; transformers 5 holds all routed experts of a layer in two tensors, as Mixtral's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_model import json_values
from reference_model.config import Attention, Experts, Mlp, ModelConfig, Norm
from reference_model.errors import ConfigError
from reference_model.mixtral import stacked_places
from reference_model.rope_keys import FULL
from reference_model.window_keys import check_kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reference_model.forms import Form

    Document = Mapping[str, Any]

KEYS = (
    *("moe_intermediate_size", "shared_expert_intermediate_size", "num_experts"),
    *("num_experts_per_tok", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers"),
    *("output_router_logits", "router_aux_loss_coef"),
    # Of windows, which nothing asks for where ``use_sliding_window`` is false.
    *("sliding_window", "max_window_layers", "layer_types"),
)


def read_attention(document: Document) -> dict[str, Any]:
    """Check that no layer has a window: which do, transformers 4 and 5 do not agree on.

    Raises:
        ConfigError: one has, or the kinds of layers are not as many as the layers.
    """
    check_kinds(
        document.get("layer_types"), json_values.integer(document, "num_hidden_layers"), (FULL,)
    )
    return {}


def read_mlp(document: Document) -> dict[str, Any]:
    """Read the experts, and which layers have none (Qwen Team 2024, section 2.2).

    Raises:
        ConfigError: a key is missing, or one that says which layers have experts is no such.
    """
    return {
        "experts": Experts(
            json_values.integer(document, "num_experts"),
            json_values.integer(document, "num_experts_per_tok"),
            renormalise=json_values.boolean(document, "norm_topk_prob"),
            hidden=json_values.integer(document, "moe_intermediate_size"),
            shared=json_values.integer(document, "shared_expert_intermediate_size"),
            dense_layers=_dense_layers(document),
        )
    }


def _dense_layers(document: Document) -> frozenset[int]:
    """Return the layers that are named, and those that the step between mixtures passes over."""
    layers = json_values.integer(document, "num_hidden_layers")
    step = json_values.integer(document, "decoder_sparse_step")
    named = document.get("mlp_only_layers") or []
    known = isinstance(named, list) and all(type(i) is int and 0 <= i < layers for i in named)
    if step < 1 or not known:
        raise ConfigError(
            f"config.json: decoder_sparse_step is {step} and mlp_only_layers is {named!r}; the "
            f"step has to be at least 1, and the layers are 0 to {layers - 1}"
        )
    return frozenset(i for i in range(layers) if i in named or (i + 1) % step)


def is_qwen2_moe(config: ModelConfig) -> bool:
    """Return whether a config is a Qwen2-MoE's, with nothing of other families in it."""
    attention, experts, rope = config.attention, config.mlp.experts, config.rope
    if experts is None or not experts.shared or rope is None:
        return False
    own = ModelConfig(
        vocab=config.vocab,
        dim=config.dim,
        layers=config.layers,
        attention=Attention(attention.heads, attention.kv_heads, attention.head_dim, qkv_bias=True),
        rope=replace(rope, share=1.0, interleaved=False),
        norm=Norm(config.norm.eps),
        mlp=Mlp(config.mlp.hidden, experts=replace(experts, softmax_first=True, bias=False)),
        tied=config.tied,
        max_positions=config.max_positions,
    )
    return config == own and experts.hidden is not None


def write(config: ModelConfig) -> dict[str, Any]:
    """Return the keys of a Qwen2-MoE."""
    experts = config.mlp.experts
    assert experts is not None
    return {
        "moe_intermediate_size": experts.hidden,
        "shared_expert_intermediate_size": experts.shared,
        "num_experts": experts.count,
        "num_experts_per_tok": experts.chosen,
        "norm_topk_prob": experts.renormalise,
        "decoder_sparse_step": 1,
        "mlp_only_layers": sorted(experts.dense_layers),
        "qkv_bias": True,
        "use_sliding_window": False,
    }


def form(config: ModelConfig, names: Iterable[str] | None = None) -> Form:
    """Return where a Qwen2-MoE's checkpoint has each tensor; empty where experts stand apart.

    Args:
        config: the decoder.
        names: the checkpoint's tensors, which tell its form; without, it is that of transformers 4.
    """
    if names is None or not any(name.endswith("experts.gate_up_proj") for name in names):
        return {}
    found: Form = {}
    experts = config.mlp.experts
    assert experts is not None
    assert experts.hidden is not None
    for layer in sorted(set(range(config.layers)) - experts.dense_layers):
        ours = f"model.layers.{layer}.mlp"
        for e in range(experts.count):
            places = stacked_places(ours, e, experts.hidden)
            found |= {f"{ours}.experts.{e}.{name}.weight": at for name, at in places.items()}
    return found
