"""BERT folders of Hugging Face, read strictly: what is not understood is refused, never guessed.

Read are checkpoints of ``BertModel`` (names without ``bert.``), ``BertForMaskedLM`` and
``BertForPreTraining``; which parts there are, the tensors say. Nothing here imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_model import config_keys, json_values
from reference_model.checkpoint import read_stored
from reference_model.encoder.config import EncoderConfig, validate
from reference_model.encoder.layout import OUTPUT_BIAS, WORDS, tensor_shapes
from reference_model.errors import ConfigError
from reference_model.stored import drop_repeated, of_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]

MODEL_TYPE = "bert"
ARCHITECTURES = ("BertModel", "BertForMaskedLM", "BertForPreTraining")

_INTEGERS = {
    "vocab": "vocab_size",
    "types": "type_vocab_size",
    "dim": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "hidden": "intermediate_size",
    "max_positions": "max_position_embeddings",
}
"""The key of each number of a config."""
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    **{k: v for k, v in config_keys.NEUTRAL.items() if k not in ("attention_bias", "mlp_bias")},
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "tie_word_embeddings": (True,),
    "dtype": config_keys.DTYPES,
    "torch_dtype": config_keys.DTYPES,
    "architectures": (None, *([name] for name in ARCHITECTURES)),
}
"""Keys with the values that are computed here."""
_BOOKKEEPING = config_keys.BOOKKEEPING | {
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "gradient_checkpointing",
}
_KNOWN = {"model_type", "layer_norm_eps", *_INTEGERS.values(), *_BOOKKEEPING} - {*_NEUTRAL}
_BARE = ("embeddings.", "encoder.", "pooler.")
"""How the names of ``BertModel`` begin, which the others have behind ``bert.``."""
_OLD = {".gamma": ".weight", ".beta": ".bias"}
"""Ends of names of checkpoints that came from TensorFlow."""
_REPEATED = {
    "cls.predictions.decoder.weight": WORDS,
    "cls.predictions.decoder.bias": OUTPUT_BIAS,
}
_OTHERS = ("bert.embeddings.position_ids", "cls.seq_relationship.")
"""What is stored too, and no part of what is computed here: a buffer, and another head."""


def read_config(document: Mapping[str, Any], *, pooler: bool, head: bool) -> EncoderConfig:
    """Read the content of a ``config.json``; which parts there are stands in no key.

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
    numbers = {field: json_values.integer(document, key) for field, key in _INTEGERS.items()}
    config = EncoderConfig(
        **numbers, eps=json_values.number(document, "layer_norm_eps"), pooler=pooler, head=head
    )
    json_values.get(document, "hidden_act")
    try:
        validate(config)
    except ValueError as error:
        raise ConfigError(f"config.json: {error}") from error
    return config


def write_config(config: EncoderConfig, dtype: str = "float32") -> dict[str, Any]:
    """Return the content of a ``config.json``, with the keys of transformers 4 and 5."""
    return {
        "architectures": ["BertForMaskedLM" if config.head else "BertModel"],
        "model_type": MODEL_TYPE,
        **{key: getattr(config, field) for field, key in _INTEGERS.items()},
        "layer_norm_eps": config.eps,
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
        "is_decoder": False,
        "add_cross_attention": False,
        "pad_token_id": 0,
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def open_folder(path: Path) -> tuple[EncoderConfig, Tensors]:
    """Read a model folder: ``config.json`` and its safetensors, single or sharded.

    Returns:
        The config, and every tensor in its own type, by canonical name in canonical order.

    Raises:
        ConfigError: a file is missing or not understood, or the tensors are not the config's.
    """
    folder = Path(path)
    document = json_values.load(folder / "config.json")
    found = _canonical(folder, read_stored(folder))
    config = read_config(
        document, pooler="bert.pooler.dense.weight" in found, head=OUTPUT_BIAS in found
    )
    return config, of_shapes(folder, found, tensor_shapes(config))


def canonical_name(stored: str) -> str:
    """Return the name that a tensor has here, whatever class of transformers wrote it."""
    name = f"bert.{stored}" if stored.startswith(_BARE) else stored
    for old, new in _OLD.items():
        name = name.removesuffix(old) + new if name.endswith(old) else name
    return name


def _canonical(folder: Path, stored: Tensors) -> Tensors:
    found = {canonical_name(name): tensor for name, tensor in stored.items()}
    for repeated, original in _REPEATED.items():
        drop_repeated(folder, found, original, [repeated])
    return {name: tensor for name, tensor in found.items() if not name.startswith(_OTHERS)}
