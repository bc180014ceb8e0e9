"""Marian folders of Hugging Face, read strictly: what is not understood is refused, never guessed.

Read are checkpoints of ``MarianMTModel`` with one vocabulary and one embedding, as Vaswani et al.
2017 have them, of ReLU or of SiLU. Nothing here imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reference_model import config_keys, json_values
from reference_model.checkpoint import read_stored
from reference_model.encoder_decoder.transformer.config import Side, TransformerConfig, validate
from reference_model.encoder_decoder.transformer.layout import SHARED, tensor_shapes
from reference_model.errors import ConfigError
from reference_model.stored import drop_repeated, of_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]

MODEL_TYPE = "marian"
ARCHITECTURE = "MarianMTModel"

_INTEGERS = {
    "vocab": "vocab_size",
    "dim": "d_model",
    "max_positions": "max_position_embeddings",
    "start": "decoder_start_token_id",
}
"""The key of each number of a config."""
_OF_A_SIDE = {"layers": "layers", "heads": "attention_heads", "hidden": "ffn_dim"}
"""What stands behind ``encoder_`` and ``decoder_`` in the key of each number of a stack."""
_SIDES = {f"{stack}_{end}" for stack in ("encoder", "decoder") for end in _OF_A_SIDE.values()}
_GENERATION = (
    *("max_length", "num_beams", "bad_words_ids", "forced_eos_token_id"),
    "decoder_start_token_id",
)
"""How texts are generated; says nothing of logits. Marian's files say it here."""
_ACTIVATIONS = {"relu": "relu", "swish": "silu", "silu": "silu"}
"""What is computed, by what ``activation_function`` says: one function has two names."""
_OTHERS = ("attention_bias", "mlp_bias", "task_specific_params", *_GENERATION)
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    **{k: v for k, v in config_keys.NEUTRAL.items() if k not in _OTHERS},
    "is_encoder_decoder": (True,),
    "is_decoder": (False,),
    "activation_function": tuple(_ACTIVATIONS),
    "scale_embedding": (True,),
    "share_encoder_decoder_embeddings": (True,),
    "tie_word_embeddings": (True,),
    "static_position_embeddings": (True,),
    "normalize_before": (False,),
    "normalize_embedding": (False,),
    "add_final_layer_norm": (False,),
    "add_bias_logits": (False,),
    "dtype": config_keys.DTYPES,
    "torch_dtype": config_keys.DTYPES,
    "architectures": (None, [ARCHITECTURE]),
}
"""Keys with the values that are computed here."""
_DEMANDED = ("activation_function", "scale_embedding")
"""Of these: those whose absence means another value."""
_REPEATED = {"decoder_vocab_size": "vocab_size", "num_hidden_layers": "encoder_layers"}
"""Keys that say once more what another says."""
_BOOKKEEPING = config_keys.BOOKKEEPING | {
    *("dropout", "activation_dropout", "encoder_layerdrop", "decoder_layerdrop", "init_std"),
    *("classifier_dropout", "classif_dropout", "gradient_checkpointing", "task_specific_params"),
    *_GENERATION,
}
_KNOWN = {"model_type", *_INTEGERS.values(), *_SIDES, *_REPEATED, *_BOOKKEEPING}
_SHARED_AGAIN = (
    *("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"),
    "lm_head.weight",
)
_TABLES = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
"""Sines and cosines, which older writers store as well."""
_ROUNDING = {2: 2.0**-8, 4: 2.0**-22, 8: 2.0**-22}
"""How far a stored sine may be off, by the bytes of its type; wide ones were float32 before."""


def read_config(document: Mapping[str, Any]) -> TransformerConfig:
    """Read the content of a ``config.json``.

    Raises:
        ConfigError: a key is missing, unknown or of a value that is not computed here.
    """
    if document.get("model_type") != MODEL_TYPE:
        raise ConfigError(
            f"config.json: model_type is {document.get('model_type')!r}; only {MODEL_TYPE!r} is "
            "computed here"
        )
    for key, value in document.items():
        json_values.check_key(key, value, _NEUTRAL, _KNOWN)
    for key in _DEMANDED:
        if key not in document:
            raise ConfigError(f"config.json: {key} is missing; only {_choices(key)} is computed")
    config = TransformerConfig(
        **{field: json_values.integer(document, key) for field, key in _INTEGERS.items()},
        encoder=_side(document, "encoder"),
        decoder=_side(document, "decoder"),
        activation=_ACTIVATIONS[document["activation_function"]],
    )
    for key, other in _REPEATED.items():
        if document.get(key) not in (None, document[other]):
            raise ConfigError(
                f"config.json: {key} is {document[key]!r} and {other} {document[other]!r}; only "
                "equal ones are computed here"
            )
    try:
        validate(config)
    except ValueError as error:
        raise ConfigError(f"config.json: {error}") from error
    return config


def _side(document: Mapping[str, Any], stack: str) -> Side:
    read = {f: json_values.integer(document, f"{stack}_{end}") for f, end in _OF_A_SIDE.items()}
    return Side(**read)


def _choices(key: str) -> str:
    return " or ".join(repr(one) for one in _NEUTRAL[key])


def write_config(config: TransformerConfig, dtype: str = "float32") -> dict[str, Any]:
    """Return the content of a ``config.json``, with the keys of transformers 4 and 5."""
    sides = {
        f"{stack}_{end}": getattr(getattr(config, stack), field)
        for stack in ("encoder", "decoder")
        for field, end in _OF_A_SIDE.items()
    }
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **{key: getattr(config, field) for field, key in _INTEGERS.items()},
        **sides,
        "decoder_vocab_size": config.vocab,
        "activation_function": next(n for n, a in _ACTIVATIONS.items() if a == config.activation),
        "scale_embedding": True,
        "static_position_embeddings": True,
        "normalize_before": False,
        "share_encoder_decoder_embeddings": True,
        "tie_word_embeddings": True,
        "is_encoder_decoder": True,
        "pad_token_id": config.start,
        "eos_token_id": 0,
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def open_folder(path: Path) -> tuple[TransformerConfig, Tensors]:
    """Read a model folder: ``config.json`` and its safetensors, single or sharded.

    Returns:
        The config, and every tensor in its own type, by name in canonical order.

    Raises:
        ConfigError: a file is missing or not understood, or the tensors are not the config's.
    """
    folder = Path(path)
    config = read_config(json_values.load(folder / "config.json"))
    found = read_stored(folder)
    drop_repeated(folder, found, SHARED, _SHARED_AGAIN)
    for name in _TABLES:
        table_PD = found.pop(name, None)
        if table_PD is not None and not _is_of_sinusoids(table_PD, config):
            raise ConfigError(
                f"{folder}: {name} is not {config.max_positions} places of sines, then cosines, of "
                f"width {config.dim}; only these are computed here"
            )
    return config, of_shapes(folder, found, tensor_shapes(config))


def _is_of_sinusoids(table_PD: NDArray[Any], config: TransformerConfig) -> bool:
    if table_PD.shape != (config.max_positions, config.dim):
        return False
    angles_PN = np.arange(config.max_positions)[:, None] / 10000.0 ** (
        np.arange(0, config.dim, 2) / config.dim
    )
    exact_PD = np.concatenate([np.sin(angles_PN), np.cos(angles_PN)], axis=1)
    furthest = np.abs(table_PD.astype(np.float64) - exact_PD).max()
    return bool(furthest <= _ROUNDING[table_PD.dtype.itemsize])
