"""Hugging Face folders, read strictly: what is not understood is refused, never guessed.

A key that would change the logits and is ignored makes every later judgement worthless; so each
key of ``config.json`` is either read, or stands in a list with the values that change nothing.
Both dialects are read: transformers 4 (``rope_theta``, ``rope_scaling``, ``torch_dtype``) and
transformers 5 (``rope_parameters``, ``dtype``). Nothing here imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_model import bloom, gpt2, json_values
from reference_model import config_keys as keys
from reference_model.checkpoint import read_tensors
from reference_model.config import Attention, Mlp, ModelConfig, Norm
from reference_model.config_rules import validate
from reference_model.errors import ConfigError
from reference_model.families import FAMILIES, family_of, read_attention
from reference_model.json_values import check_value
from reference_model.rope_keys import write_rope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from reference_model.families import Family

__all__ = ["ConfigError", "open_folder", "read_config", "write_config"]

_OWN = {gpt2.MODEL_TYPE: gpt2, bloom.MODEL_TYPE: bloom}
"""Families whose keys have names of their own, and the modules that read them."""


def read_config(document: Mapping[str, Any]) -> ModelConfig:
    """Read the content of a ``config.json``.

    Raises:
        ConfigError: a key is missing, unknown, in conflict with another, or of a value that the
            reference model does not compute.
    """
    _check_types(document)
    own = _OWN.get(json_values.get(document, "model_type"))
    if own is not None:
        return _validated(own.read_config(document))
    family = _family(document)
    _check_keys(document, family)
    dim, heads = (
        json_values.integer(document, "hidden_size"),
        json_values.integer(document, "num_attention_heads"),
    )
    config = ModelConfig(
        vocab=json_values.integer(document, "vocab_size"),
        dim=dim,
        layers=json_values.integer(document, "num_hidden_layers"),
        attention=Attention(
            heads=heads,
            kv_heads=json_values.integer(document, "num_key_value_heads"),
            head_dim=_head_dim(document, dim, heads),
            **read_attention(family, document),
        ),
        **family.read_rope(document),
        norm=Norm(json_values.number(document, "rms_norm_eps"), **family.norm),
        mlp=Mlp(
            json_values.integer(document, "intermediate_size"),
            family.activation[2],
            **family.read_mlp(document),
        ),
        tied=_tied(document, family),
        max_positions=json_values.integer(document, "max_position_embeddings"),
        **family.read_model(document),
    )
    return _validated(config)


def _validated(config: ModelConfig) -> ModelConfig:
    try:
        validate(config)
    except ValueError as error:
        raise ConfigError(f"config.json: {error}") from error
    return config


def write_config(
    config: ModelConfig, dtype: str = "float32", dialect: int | None = None
) -> dict[str, Any]:
    """Return the content of a ``config.json``; ``read_config`` reads the same config from it.

    Args:
        config: the decoder.
        dtype: the type of the tensors beside it.
        dialect: the major version of transformers whose keys to use, 5 or 4. None writes the keys
            of both: a reader of one dialect ignores the other's without a word, and would compute
            with a rotary base of 10000.

    Raises:
        ValueError: there is no such dialect or type, or no family that computes such a config.
    """
    if dialect not in (None, 4, 5) or dtype not in keys.DTYPES[1:]:
        raise ValueError(f"dialect {dialect!r}, dtype {dtype!r}: use 4 or 5, and {keys.DTYPES[1:]}")
    document: dict[str, Any] = {}
    if dialect != 5:
        document["torch_dtype"] = dtype
    if dialect != 4:
        document["dtype"] = dtype
    if gpt2.is_gpt2(config):
        return gpt2.write_config(config) | document
    if bloom.is_bloom(config):
        return bloom.write_config(config) | document
    family = family_of(config)
    document |= {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "vocab_size": config.vocab,
        "hidden_size": config.dim,
        "intermediate_size": config.mlp.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.attention.heads,
        "num_key_value_heads": config.attention.kv_heads,
        "head_dim": config.attention.head_dim,
        family.activation[0]: family.activation[1],
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm.eps,
        "tie_word_embeddings": config.tied,
        "attention_bias": config.attention.qkv_bias,
        "mlp_bias": False,
        # Without these, transformers would take 1 and 2 and stop generating at a plain token.
        "bos_token_id": None,
        "eos_token_id": None,
        **family.write(config),
    }
    document |= write_rope(config, dialect)
    return document


def open_folder(path: Path) -> tuple[ModelConfig, dict[str, NDArray[Any]]]:
    """Read a model folder: ``config.json`` and its safetensors, single or sharded.

    Returns:
        The config, and every tensor in its own type, by Hugging Face's name in canonical order.

    Raises:
        ConfigError: a file is missing or not understood, or the tensors are not the config's.
    """
    folder = Path(path)
    document = json_values.load(folder / "config.json")
    config, family = read_config(document), FAMILIES.get(document["model_type"])
    fused = family is not None and family.fused
    return config, read_tensors(folder, config, fused=fused)


def _family(document: Mapping[str, Any]) -> Family:
    model_type = json_values.get(document, "model_type")
    check_value("model_type", model_type, (*FAMILIES, *_OWN))
    return FAMILIES[model_type]


def _check_types(document: Mapping[str, Any]) -> None:
    for key in ("dtype", "torch_dtype"):
        check_value(key, document.get(key), keys.DTYPES)
    seen = {document[key] for key in ("dtype", "torch_dtype") if document.get(key) is not None}
    if len(seen) > 1:
        raise ConfigError(
            f"config.json: dtype is {document['dtype']!r} and torch_dtype is "
            f"{document['torch_dtype']!r}; they have to agree, so remove one"
        )


def _check_keys(document: Mapping[str, Any], family: Family) -> None:
    check_value("architectures", document.get("architectures"), (None, [family.architecture]))
    activation, computed, _ = family.activation
    check_value(activation, json_values.get(document, activation), (computed,))
    neutral = {**keys.NEUTRAL, **family.values}
    neutral = {key: values for key, values in neutral.items() if key not in family.keys}
    known = {"model_type", "architectures", activation, *keys.READ, *keys.BOOKKEEPING}
    for key, value in document.items():
        if key in neutral:
            check_value(key, value, neutral[key])
        elif key not in known and key not in family.keys:
            raise json_values.not_understood(key, value)


def _tied(document: Mapping[str, Any], family: Family) -> bool:
    if "tie_word_embeddings" not in document and family.tied is not None:
        return family.tied
    return json_values.boolean(document, "tie_word_embeddings")


def _head_dim(document: Mapping[str, Any], dim: int, heads: int) -> int:
    if document.get("head_dim") is not None:
        return json_values.integer(document, "head_dim")
    if heads < 1 or dim % heads:
        raise ConfigError(
            f"config.json: head_dim is absent, and num_attention_heads {heads} does not divide "
            f"hidden_size {dim}; give head_dim"
        )
    return dim // heads
