"""Which tensors a config.json calls for: their names and shapes, as Hugging Face writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from conformance.formats._hf_experts import has_experts
from conformance.formats.hf_config import head_dim, is_tied, sizes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def expected_shapes(
    config: Mapping[str, Any], names: Collection[str] = ()
) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a decoder's tensors, in Hugging Face's order.

    Letters: V vocabulary, D model, H query heads, G key/value heads, K head dim, F feed-forward.
    A linear layer's weight is (out, in), but for GPT-2's.

    Args:
        config: the content of config.json.
        names: what a checkpoint holds; some families write one form of names or another.
    """
    if config["model_type"] == "gpt2":
        return _gpt2(config, "" if "wte.weight" in names else "transformer.")
    if config["model_type"] == "bloom":
        return _bloom(config, "" if "word_embeddings.weight" in names else "transformer.")
    v, d = config["vocab_size"], config["hidden_size"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (v, d)}
    for i in range(config["num_hidden_layers"]):
        layer = _layer(config, i, names)
        shapes |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    shapes["model.norm.weight"] = (d,)
    if not is_tied(config):
        shapes["lm_head.weight"] = (v, d)
    return shapes


def _layer(config: Mapping[str, Any], i: int, names: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a layer."""
    d, k, biased = config["hidden_size"], head_dim(config), _biased(config)
    routed = has_experts(config, i)
    layer: dict[str, tuple[int, ...]] = {"input_layernorm.weight": (d,)}
    for name, shape in _linear(config, routed=routed).items():
        layer[f"{name}.weight"] = shape
        if name.split(".")[1] in biased:
            layer[f"{name}.bias"] = shape[:1]
        if name == "self_attn.o_proj" and config["model_type"] in _HEAD_NORMS:
            layer |= {f"self_attn.{one}_norm.weight": (k,) for one in "qk"}
    for norm in ("post_attention", *_NORMS_BEHIND.get(config["model_type"], ())):
        layer[f"{norm}_layernorm.weight"] = (d,)
    return layer | (_experts(config, names) if routed else {})


def _linear(config: Mapping[str, Any], *, routed: bool) -> dict[str, tuple[int, int]]:
    """Return a layer's linear weights, (out, in), without those of experts."""
    kind, d, f = (config[key] for key in ("model_type", "hidden_size", "intermediate_size"))
    hk, gk = (config[f"num_{one}_heads"] * head_dim(config) for one in ("attention", "key_value"))
    if kind == "phi3":
        attention = {"self_attn.o_proj": (d, hk), "self_attn.qkv_proj": (hk + 2 * gk, d)}
    else:
        attention = {
            f"self_attn.{one}_proj": (n, d) for one, n in zip("qkv", (hk, gk, gk), strict=True)
        }
        attention["self_attn.o_proj"] = (d, hk)
    if routed:
        return attention
    if kind in ("phi3", "glm4"):
        return attention | {"mlp.gate_up_proj": (2 * f, d), "mlp.down_proj": (d, f)}
    return attention | {
        "mlp.gate_proj": (f, d),
        "mlp.up_proj": (f, d),
        "mlp.down_proj": (d, f),
    }


def _experts(config: Mapping[str, Any], names: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a layer's experts."""
    kind = config["model_type"]
    if kind == "gpt_oss":
        return _gpt_oss(config)
    stacked = any(name.endswith(".mlp.experts.gate_up_proj") for name in names)
    read = {"mixtral": _mixtral_experts, "qwen2_moe": _qwen2_moe}[kind]
    return read(config, stacked=stacked)


def _mixtral_experts(config: Mapping[str, Any], *, stacked: bool) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a layer's experts: each apart, or (transformers 5) all in two."""
    d, f, e = (config[key] for key in ("hidden_size", "intermediate_size", "num_local_experts"))
    if stacked:
        both = {"mlp.experts.gate_up_proj": (e, 2 * f, d), "mlp.experts.down_proj": (e, d, f)}
        return {"mlp.gate.weight": (e, d), **both}
    shapes: dict[str, tuple[int, ...]] = {"block_sparse_moe.gate.weight": (e, d)}
    for i in range(e):
        for name, shape in (("w1", (f, d)), ("w2", (d, f)), ("w3", (f, d))):
            shapes[f"block_sparse_moe.experts.{i}.{name}.weight"] = shape
    return shapes


def _qwen2_moe(config: Mapping[str, Any], *, stacked: bool) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a layer's routed experts, apart or stacked, and of the shared one."""
    d, e, f, shared = (
        config[key]
        for key in (
            *("hidden_size", "num_experts"),
            *("moe_intermediate_size", "shared_expert_intermediate_size"),
        )
    )
    shapes: dict[str, tuple[int, ...]] = {"mlp.gate.weight": (e, d)}
    widths = {f"experts.{i}": f for i in range(0 if stacked else e)} | {"shared_expert": shared}
    for one, width in widths.items():
        for name in ("gate_proj", "up_proj"):
            shapes[f"mlp.{one}.{name}.weight"] = (width, d)
        shapes[f"mlp.{one}.down_proj.weight"] = (d, width)
    if stacked:
        shapes |= {"mlp.experts.gate_up_proj": (e, 2 * f, d), "mlp.experts.down_proj": (e, d, f)}
    return shapes | {"mlp.shared_expert_gate.weight": (1, d)}


def _gpt_oss(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return a layer's sinks, and its experts, all in four tensors; products are (in, out)."""
    d, f, e = (config[key] for key in ("hidden_size", "intermediate_size", "num_local_experts"))
    return {
        "self_attn.sinks": (config["num_attention_heads"],),
        "mlp.router.weight": (e, d),
        "mlp.router.bias": (e,),
        "mlp.experts.gate_up_proj": (e, d, 2 * f),
        "mlp.experts.gate_up_proj_bias": (e, 2 * f),
        "mlp.experts.down_proj": (e, f, d),
        "mlp.experts.down_proj_bias": (e, d),
    }


def _gpt2(config: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a GPT-2, whose linear layers' weights are (in, out)."""
    d, f = config["n_embd"], sizes(config)["intermediate_size"]
    linear = {"attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d), "mlp.c_fc": (d, f)}
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (config["vocab_size"], d),
        "wpe.weight": (config["n_positions"], d),
    }
    for i in range(config["n_layer"]):
        for name, shape in (linear | {"mlp.c_proj": (f, d)}).items():
            shapes |= {f"h.{i}.{name}.weight": shape, f"h.{i}.{name}.bias": shape[1:]}
        norms = [f"h.{i}.{name}.{kind}" for name in ("ln_1", "ln_2") for kind in _KINDS]
        shapes |= dict.fromkeys(norms, (d,))
    shapes |= {f"ln_f.{kind}": (d,) for kind in _KINDS}
    found = {f"{prefix}{name}": shape for name, shape in shapes.items()}
    if not is_tied(config):
        found["lm_head.weight"] = (config["vocab_size"], d)
    return found


def _bloom(config: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a BLOOM; its head is the embedding."""
    seen = sizes(config)
    v, d, f = (seen[key] for key in ("vocab_size", "hidden_size", "intermediate_size"))
    linear = {
        "self_attention.query_key_value": (3 * d, d),
        "self_attention.dense": (d, d),
        "mlp.dense_h_to_4h": (f, d),
        "mlp.dense_4h_to_h": (d, f),
    }
    norms = ["word_embeddings_layernorm", "ln_f"]
    shapes: dict[str, tuple[int, ...]] = {"word_embeddings.weight": (v, d)}
    for i in range(seen["num_hidden_layers"]):
        norms += [f"h.{i}.{one}_layernorm" for one in ("input", "post_attention")]
        for name, shape in linear.items():
            shapes |= {f"h.{i}.{name}.weight": shape, f"h.{i}.{name}.bias": shape[:1]}
    shapes |= {f"{name}.{kind}": (d,) for name in norms for kind in _KINDS}
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


_KINDS = ("weight", "bias")


def is_mask(config: Mapping[str, Any], name: str) -> bool:
    """Say whether a tensor is a triangle of a mask, which old checkpoints of GPT-2 hold."""
    pattern = r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias"
    return config["model_type"] == "gpt2" and re.fullmatch(pattern, name) is not None


_BIASED = ("qwen2", "qwen2_moe")
"""Types of models whose queries, keys and values have biases by their name."""
_HEAD_NORMS = ("qwen3", "gemma3_text")
"""Types of models that normalise queries and keys."""
_AROUND = ("pre_feedforward", "post_feedforward")
_NORMS_BEHIND: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("gemma2", "gemma3_text"), _AROUND),
    "glm4": ("post_self_attn", "post_mlp"),
}
"""Types of models that normalise what is added to the stream, and the norms they have for it."""


def _biased(config: Mapping[str, Any]) -> set[str]:
    """Return the names of the projections that have a bias."""
    found: set[str] = set()
    kind = config["model_type"]
    told = config.get("attention_bias") or kind == "gpt_oss"
    if told or kind in _BIASED:
        found |= {"q_proj", "k_proj", "v_proj"}
    if told and kind not in (*_BIASED, "glm4"):
        found |= {"o_proj"}
    if config.get("mlp_bias"):
        found |= {"gate_proj", "up_proj", "down_proj"}
    return found
