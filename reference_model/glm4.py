"""GLM-4's keys of ``config.json``, and how its checkpoints name what a Gemma has, too.

Nothing here imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_model import json_values
from reference_model.config import Attention, Mlp, ModelConfig, Norm, Rope
from reference_model.forms import Place, fused_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_model.forms import Form


def read_attention(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read whether queries, keys and values have a bias: the smaller releases', not the larger."""
    return {"qkv_bias": json_values.boolean(document, "attention_bias")}


def is_glm4(config: ModelConfig) -> bool:
    """Return whether a config is a GLM-4's, with nothing of other families in it."""
    attention, rope = config.attention, config.rope
    if rope is None:
        return False
    own = ModelConfig(
        vocab=config.vocab,
        dim=config.dim,
        layers=config.layers,
        attention=Attention(
            attention.heads, attention.kv_heads, attention.head_dim, qkv_bias=attention.qkv_bias
        ),
        rope=Rope(rope.theta, share=rope.share, interleaved=True),
        norm=Norm(config.norm.eps),
        mlp=Mlp(config.mlp.hidden),
        tied=config.tied,
        max_positions=config.max_positions,
        post_norms=True,
    )
    return config == own


def form(config: ModelConfig) -> Form:
    """Return where a GLM-4's checkpoint has each tensor that is called otherwise.

    Gate and up are joined, and ``post_attention_layernorm`` is the norm before the feed-forward.
    """
    joined = {name: place for name, place in fused_form(config).items() if ".mlp." in name}
    return joined | {
        f"model.layers.{layer}.{ours}.weight": Place(f"model.layers.{layer}.{theirs}.weight")
        for layer in range(config.layers)
        for ours, theirs in _NORMS.items()
    }


_NORMS = {
    "post_attention_layernorm": "post_self_attn_layernorm",
    "pre_feedforward_layernorm": "post_attention_layernorm",
    "post_feedforward_layernorm": "post_mlp_layernorm",
}
"""The checkpoint's names of norms, by ours."""
