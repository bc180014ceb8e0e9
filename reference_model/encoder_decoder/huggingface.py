"""T5 folders of Hugging Face, read strictly: what is not understood is refused, never guessed.

Read are checkpoints of ``T5ForConditionalGeneration``, of T5 (ReLU, a tied and scaled head),
of T5 1.1 (gated GELU, a head of its own) and of UL2 (gated SiLU). Nothing here imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_model import config_keys, json_values
from reference_model.checkpoint import read_stored
from reference_model.encoder_decoder.config import Buckets, EncoderDecoderConfig, validate
from reference_model.encoder_decoder.layout import HEAD, SHARED, tensor_shapes
from reference_model.errors import ConfigError
from reference_model.stored import drop_repeated, of_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]

MODEL_TYPE = "t5"
ARCHITECTURE = "T5ForConditionalGeneration"
FEED_FORWARDS = {
    "relu": ("relu", False),
    "gated-gelu": ("gelu_tanh", True),
    "gated-silu": ("silu", True),
}
"""Activation, and whether it is gated, by what ``feed_forward_proj`` says; GELU is that of tanh."""
_SPELLED = {"relu": "relu", "gelu_tanh": "gelu_new", "silu": "silu"}
"""What ``dense_act_fn`` says of an activation."""

_INTEGERS = {
    "vocab": "vocab_size",
    "dim": "d_model",
    "encoder_layers": "num_layers",
    "decoder_layers": "num_decoder_layers",
    "heads": "num_heads",
    "head_dim": "d_kv",
    "hidden": "d_ff",
    "start": "decoder_start_token_id",
}
"""The key of each number of a config."""
_BUCKETS = ("relative_attention_num_buckets", "relative_attention_max_distance")
_ABSENT: Mapping[str, Any] = {
    "relative_attention_max_distance": 128,
    "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
}
"""What T5 itself has, whose files are older than these keys."""
_READ = {"model_type", "layer_norm_epsilon", "feed_forward_proj", "tie_word_embeddings"}
_OTHERS = ("attention_bias", "mlp_bias", "decoder_start_token_id", "task_specific_params")
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    **{k: v for k, v in config_keys.NEUTRAL.items() if k not in _OTHERS},
    "is_encoder_decoder": (True,),
    "is_decoder": (False,),
    "dense_act_fn": tuple(_SPELLED.values()),
    "is_gated_act": (False, True),
    "scale_decoder_outputs": (False, True),
    "dtype": config_keys.DTYPES,
    "torch_dtype": config_keys.DTYPES,
    "architectures": (None, [ARCHITECTURE]),
}
"""Keys with the values that are computed here; three of them say once more what others say."""
_BOOKKEEPING = config_keys.BOOKKEEPING | {
    "dropout_rate",
    "classifier_dropout",
    "initializer_factor",
    "output_past",
    "n_positions",
    "gradient_checkpointing",
    "task_specific_params",
}
_KNOWN = {*_READ, *_INTEGERS.values(), *_BUCKETS, *_BOOKKEEPING}
_REPEATED = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""A table that early checkpoints hold, and that nothing has ever read."""


def read_config(document: Mapping[str, Any]) -> EncoderDecoderConfig:
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
    document = {**_ABSENT, **document}
    spelled = json_values.get(document, "feed_forward_proj")
    if spelled not in FEED_FORWARDS:
        choices = " or ".join(map(repr, FEED_FORWARDS))
        raise ConfigError(
            f"config.json: feed_forward_proj is {spelled!r}; only {choices} is computed here"
        )
    activation, gated = FEED_FORWARDS[spelled]
    count, farthest = (json_values.integer(document, key) for key in _BUCKETS)
    config = EncoderDecoderConfig(
        **{field: json_values.integer(document, key) for field, key in _INTEGERS.items()},
        buckets=Buckets(count, farthest),
        activation=activation,
        gated=gated,
        eps=json_values.number(document, "layer_norm_epsilon"),
        tied=_is_tied(document),
    )
    _check_derived(document, config)
    try:
        validate(config)
    except ValueError as error:
        raise ConfigError(f"config.json: {error}") from error
    return config


def _is_tied(document: Mapping[str, Any]) -> bool:
    """Return whether the head is the embedding, scaled.

    Transformers 5 writes ``tie_word_embeddings`` true whatever it is, and what it was as
    ``scale_decoder_outputs``.
    """
    key = "scale_decoder_outputs"
    return json_values.boolean(document, key if key in document else "tie_word_embeddings")


def _check_derived(document: Mapping[str, Any], config: EncoderDecoderConfig) -> None:
    said = {"dense_act_fn": _SPELLED[config.activation], "is_gated_act": config.gated}
    for key, value in said.items():
        if document.get(key, value) != value:
            raise ConfigError(
                f"config.json: {key} is {document[key]!r}, and feed_forward_proj "
                f"{document['feed_forward_proj']!r} makes it {value!r}"
            )
    if config.tied and document.get("tie_word_embeddings") is False:
        raise ConfigError(
            "config.json: scale_decoder_outputs is true and tie_word_embeddings false; a head of "
            "its own is not scaled"
        )


def write_config(config: EncoderDecoderConfig, dtype: str = "float32") -> dict[str, Any]:
    """Return the content of a ``config.json``, with the keys of transformers 4 and 5."""
    made = config.activation, config.gated
    spelled = next(name for name, meant in FEED_FORWARDS.items() if meant == made)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **{key: getattr(config, field) for field, key in _INTEGERS.items()},
        "relative_attention_num_buckets": config.buckets.count,
        "relative_attention_max_distance": config.buckets.max_distance,
        "feed_forward_proj": spelled,
        "layer_norm_epsilon": config.eps,
        "tie_word_embeddings": config.tied,
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def read_tensors(folder: Path, config: EncoderDecoderConfig) -> Tensors:
    """Return every tensor of a folder in its own type, by name in canonical order.

    Raises:
        ConfigError: the tensors are not the config's.
    """
    found = read_stored(folder)
    found.pop(_UNUSED, None)
    drop_repeated(folder, found, SHARED, (*_REPEATED, *([HEAD] if config.tied else [])))
    return of_shapes(folder, found, tensor_shapes(config))


def open_folder(path: Path) -> tuple[EncoderDecoderConfig, Tensors]:
    """Read a model folder: ``config.json`` and its safetensors, single or sharded.

    Returns:
        The config, and every tensor in its own type, by name in canonical order.

    Raises:
        ConfigError: a file is missing or not understood, or the tensors are not the config's.
    """
    folder = Path(path)
    config = read_config(json_values.load(folder / "config.json"))
    return config, read_tensors(folder, config)
