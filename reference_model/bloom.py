"""BLOOM's folders: its own keys of ``config.json``, and its checkpoints, which fuse by heads.

Scao et al. 2022, section 3.2, and transformers' ``BloomForCausalLM``. What is computed stands in
the config alone. Nothing here imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_model import config_keys, json_values
from reference_model.config import Attention, Mlp, ModelConfig, Norm
from reference_model.errors import ConfigError
from reference_model.forms import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reference_model.forms import Form

MODEL_TYPE = "bloom"
ARCHITECTURE = "BloomForCausalLM"
PREFIX = "transformer."

_NAMES = {
    "hidden_size": ("hidden_size", "n_embed"),
    "n_layer": ("n_layer", "num_hidden_layers"),
    "n_head": ("n_head", "num_attention_heads"),
}
"""Sizes by the names that transformers writes, and the others that releases have for them."""
_LENGTH = 2048
"""What all releases were trained on; a file that is written anew does not say it, and nothing that
is computed depends on it."""
_READ = (
    *("vocab_size", "layer_norm_epsilon", "tie_word_embeddings", "seq_length"),
    *("dtype", "torch_dtype", *(name for names in _NAMES.values() for name in names)),
)
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "apply_residual_connection_post_layernorm": (False,),
    "n_inner": (None,),
    # These and the next were read by the program that trained it, and by no reader of the model.
    "skip_bias_add_qkv": (False,),
    "attention_softmax_in_fp32": (True,),
}
_BOOKKEEPING = frozenset(
    (
        *("hidden_dropout", "slow_but_exact", "offset_alibi", "unk_token_id"),
        *("bias_dropout_fusion", "masked_softmax_fusion", "skip_bias_add"),
    )
)
"""Keys about training and its kernels: ``slow_but_exact`` adds up in another order."""


def read_config(document: Mapping[str, Any]) -> ModelConfig:
    """Read the content of a BLOOM's ``config.json``.

    Raises:
        ConfigError: a key is missing, unknown, in conflict with another, or of a value that is not
            computed.
    """
    _check_keys(document)
    dim, layers, heads = (_size(document, names) for names in _NAMES.values())
    if heads < 1 or dim % heads:
        raise ConfigError(
            f"config.json: n_head is {heads}, which does not divide hidden_size {dim}"
        )
    tied = document.get("tie_word_embeddings", True)  # as the class has it
    if tied is not True:
        raise ConfigError(f"config.json: tie_word_embeddings is {tied!r}; allowed: True")
    length = document.get("seq_length")
    return _config(
        vocab=json_values.integer(document, "vocab_size"),
        layers=layers,
        heads=heads,
        head_dim=dim // heads,
        eps=json_values.number(document, "layer_norm_epsilon"),
        max_positions=_LENGTH if length is None else json_values.integer(document, "seq_length"),
    )


def _size(document: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Return a size from every name that is given for it; they have to agree."""
    found = {name: json_values.integer(document, name) for name in names if name in document}
    if not found:
        raise ConfigError(f"config.json: {names[0]} is missing (no default is assumed)")
    if len(set(found.values())) > 1:
        told = " and ".join(f"{name} says {value}" for name, value in found.items())
        raise ConfigError(f"config.json: {told}; they have to agree, so remove one")
    return next(iter(found.values()))


def _check_keys(document: Mapping[str, Any]) -> None:
    check = json_values.check_value
    check("architectures", document.get("architectures"), (None, [ARCHITECTURE]))
    neutral = {**config_keys.NEUTRAL, **_NEUTRAL}
    known = {"model_type", "architectures", *_READ, *_BOOKKEEPING, *config_keys.BOOKKEEPING}
    for key, value in document.items():
        if key in neutral:
            check(key, value, neutral[key])
        elif key not in known:
            raise ConfigError(
                f"config.json: key {key!r} (value {value!r}) is not understood for a bloom, so "
                "what the model computes is not known; remove the key if it changes nothing"
            )


def _config(
    *, vocab: int, layers: int, heads: int, head_dim: int, eps: float, max_positions: int
) -> ModelConfig:
    """Return what every BLOOM is: all but these numbers stands in its name."""
    dim = heads * head_dim
    return ModelConfig(
        vocab=vocab,
        dim=dim,
        layers=layers,
        attention=Attention(heads, heads, head_dim, qkv_bias=True, out_bias=True, alibi=True),
        rope=None,
        norm=Norm(eps, centred=True),
        mlp=Mlp(4 * dim, "gelu_tanh", gated=False, bias=True),
        tied=True,
        max_positions=max_positions,
        embedding_norm=True,
    )


def is_bloom(config: ModelConfig) -> bool:
    """Return whether a config is a BLOOM's, with nothing of other families in it."""
    return config == _config(
        vocab=config.vocab,
        layers=config.layers,
        heads=config.attention.heads,
        head_dim=config.attention.head_dim,
        eps=config.norm.eps,
        max_positions=config.max_positions,
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the content of a BLOOM's ``config.json``, without the type of the tensors."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab,
        "seq_length": config.max_positions,
        "hidden_size": config.dim,
        "n_layer": config.layers,
        "n_head": config.attention.heads,
        "layer_norm_epsilon": config.norm.eps,
        "apply_residual_connection_post_layernorm": False,
        "tie_word_embeddings": True,
        # Without these, transformers would take 1 and 2 and stop generating at a plain token.
        "bos_token_id": None,
        "eos_token_id": None,
    }


def form(config: ModelConfig, names: Iterable[str] | None = None) -> Form:
    """Return where a BLOOM's checkpoint has each tensor.

    Args:
        config: the decoder.
        names: the checkpoint's tensors: those of the first releases lack the prefix that others
            have. Without, they have it.
    """
    prefix = "" if names is not None and "word_embeddings.weight" in names else PREFIX
    found = {}
    for ours, theirs in _TENSORS.items():
        for kind in ("weight", "bias"):
            found[f"{ours}.{kind}"] = Place(f"{prefix}{theirs}.{kind}")
    for layer in range(config.layers):
        before, there = f"model.layers.{layer}.", f"{prefix}h.{layer}."
        for kind in ("weight", "bias"):
            for ours, theirs in _LAYER.items():
                found[f"{before}{ours}.{kind}"] = Place(f"{there}{theirs}.{kind}")
            for part, one in enumerate("qkv"):  # a head's queries, its keys, its values, the next's
                found[f"{before}self_attn.{one}_proj.{kind}"] = Place(
                    f"{there}self_attention.query_key_value.{kind}",
                    first=part,
                    step=3,
                    block=config.attention.head_dim,
                )
    return found


_TENSORS = {
    "model.embed_tokens": "word_embeddings",
    "model.embed_norm": "word_embeddings_layernorm",
    "model.norm": "ln_f",
}
_LAYER = {
    "input_layernorm": "input_layernorm",
    "self_attn.o_proj": "self_attention.dense",
    "post_attention_layernorm": "post_attention_layernorm",
    "mlp.up_proj": "mlp.dense_h_to_4h",
    "mlp.down_proj": "mlp.dense_4h_to_h",
}
"""The checkpoint's names, by ours."""
