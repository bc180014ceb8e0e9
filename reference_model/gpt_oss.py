"""The keys that are gpt-oss's alone, and the form of its checkpoints. Nothing here imports torch.

A layer's experts stand in four tensors, and each product as (in, out): of ``gate_up_proj`` every
other column is the gate's, from the first on, and the columns between are what the gate multiplies.
The releases hold these tensors as blocks of MXFP4, which is another format and is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_model import json_values, rope_keys
from reference_model.config import Attention, Experts, Mlp, ModelConfig, Norm, Rope, Yarn
from reference_model.errors import ConfigError
from reference_model.forms import Place
from reference_model.rope_keys import FULL, SLIDING
from reference_model.window_keys import check_kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_model.forms import Form

    Document = Mapping[str, Any]

KEYS = (
    *("sliding_window", "layer_types", "num_local_experts", "num_experts_per_tok"),
    *("experts_per_token", "initial_context_length", "swiglu_limit", "swiglu_alpha"),
    *("output_router_logits", "router_aux_loss_coef", "quantization_config"),
)
SHARPNESS = 1.702
"""What the published code multiplies the gate by; transformers 4 has no key for it."""
OFFSET = 1.0


def read_attention(document: Document) -> dict[str, Any]:
    """Read which layers have the window: by ``layer_types``, or every other, the first first."""
    layers, kinds = json_values.integer(document, "num_hidden_layers"), document.get("layer_types")
    check_kinds(kinds, layers, (SLIDING, FULL))
    if kinds is None:
        kinds = [(SLIDING, FULL)[layer % 2] for layer in range(layers)]
    full = frozenset(layer for layer, kind in enumerate(kinds) if kind == FULL)
    if len(full) == layers:
        return {}
    return {"window": json_values.integer(document, "sliding_window"), "full_layers": full}


def read_rope(document: Document) -> dict[str, Any]:
    """Read the rotation, which is scaled by YaRN: without, readers would assume its scaling.

    Raises:
        ConfigError: it is not, or as for ``rope_keys.read_rope``.
    """
    found = rope_keys.read_rope(document)
    if not isinstance(found["rope"].scaling, Yarn):
        raise ConfigError(
            f"config.json: a gpt_oss has rope type 'yarn', and this one {found['rope'].scaling}; "
            "readers would assume a scaling, so write it"
        )
    return found


def read_mlp(document: Document) -> dict[str, Any]:
    """Read the experts and the limit of their units (OpenAI 2025, section 2.2).

    Raises:
        ConfigError: a key is missing, two contradict each other, or the weights are quantised.
    """
    _refuse_quantised(document)
    chosen = json_values.integer(document, "num_experts_per_tok")
    _check_agrees(document, "experts_per_token", chosen, "num_experts_per_tok")
    for place in ("rope_scaling", "rope_parameters"):
        length = (document.get(place) or {}).get("original_max_position_embeddings")
        if length is not None:
            _check_agrees(document, "initial_context_length", length, f"{place}'s original length")
    alpha = "swiglu_alpha"
    return {
        "bias": True,
        "experts": _experts(json_values.integer(document, "num_local_experts"), chosen),
        "limit": json_values.number(document, "swiglu_limit"),
        "sharpness": json_values.number(document, alpha) if alpha in document else SHARPNESS,
        "offset": OFFSET,
    }


def is_gpt_oss(config: ModelConfig) -> bool:
    """Return whether a config is a gpt-oss's, with nothing of other families in it."""
    attention, experts, mlp, rope = config.attention, config.mlp.experts, config.mlp, config.rope
    if experts is None or mlp.limit is None or rope is None or not isinstance(rope.scaling, Yarn):
        return False
    own = ModelConfig(
        vocab=config.vocab,
        dim=config.dim,
        layers=config.layers,
        attention=Attention(
            attention.heads,
            attention.kv_heads,
            attention.head_dim,
            attention.window,
            attention.full_layers,
            qkv_bias=True,
            out_bias=True,
            sinks=True,
        ),
        rope=Rope(rope.theta, rope.scaling),
        norm=Norm(config.norm.eps, wide=True),
        mlp=Mlp(
            mlp.hidden,
            bias=True,
            experts=_experts(experts.count, experts.chosen),
            limit=mlp.limit,
            sharpness=mlp.sharpness,
            offset=OFFSET,
        ),
        tied=config.tied,
        max_positions=config.max_positions,
    )
    return config == own


def _experts(count: int, chosen: int) -> Experts:
    """Return experts whose router has a bias, and takes the softmax of the chosen alone."""
    return Experts(count, chosen, softmax_first=False, renormalise=False, bias=True)


def write(config: ModelConfig) -> dict[str, Any]:
    """Return the keys of a gpt-oss."""
    experts, attention = config.mlp.experts, config.attention
    assert experts is not None
    windows = (attention.window_of(layer) for layer in range(config.layers))
    return {
        "sliding_window": attention.window,
        "layer_types": [FULL if window is None else SLIDING for window in windows],
        "num_local_experts": experts.count,
        "num_experts_per_tok": experts.chosen,
        "swiglu_limit": config.mlp.limit,
        "swiglu_alpha": config.mlp.sharpness,
        "pad_token_id": None,
    }


def form(config: ModelConfig) -> Form:
    """Return where a gpt-oss's checkpoint has each tensor."""
    experts = config.mlp.experts
    assert experts is not None
    found: Form = {}
    for layer in range(config.layers):
        ours = f"model.layers.{layer}.mlp"
        for kind in ("weight", "bias"):
            found[f"{ours}.gate.{kind}"] = Place(f"{ours}.router.{kind}")
        for e in range(experts.count):
            for kind in ("weight", "bias"):
                places = _places(f"{ours}.experts", e, kind)
                found |= {f"{ours}.experts.{e}.{name}.{kind}": at for name, at in places.items()}
    return found


def _places(prefix: str, e: int, kind: str) -> Form:
    end, across = ("", True) if kind == "weight" else ("_bias", False)
    both = f"{prefix}.gate_up_proj{end}"
    return {
        "gate_proj": Place(both, step=2, transposed=across, expert=e),
        "up_proj": Place(both, first=1, step=2, transposed=across, expert=e),
        "down_proj": Place(f"{prefix}.down_proj{end}", transposed=across, expert=e),
    }


def _refuse_quantised(document: Document) -> None:
    quantised = document.get("quantization_config")
    if quantised is None:
        return
    method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
    raise ConfigError(
        f"config.json: quantization_config says {method!r}, and quantised experts are not read; "
        "dequantise them (transformers' Mxfp4Config(dequantize=True)), save the model in bfloat16, "
        "and leave the key out"
    )


def _check_agrees(document: Document, key: str, value: Any, other: str) -> None:
    if document.get(key, value) != value:
        raise ConfigError(
            f"config.json: {key} is {document[key]!r} and {other} is {value!r}; they have to "
            "agree, so remove one"
        )
