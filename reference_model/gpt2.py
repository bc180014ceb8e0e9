"""GPT-2 as Hugging Face has it: keys of ``config.json`` that are its own, and its checkpoint.

Products are stored (in, out) there, those of queries, keys and values in one. The name of the model
says which keys there are and what their absence means; what is computed stands in the config
alone. Nothing here imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_model import config_keys, json_values
from reference_model.config import Attention, Mlp, ModelConfig, Norm
from reference_model.errors import ConfigError
from reference_model.forms import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reference_model.config import Activation
    from reference_model.forms import Form

MODEL_TYPE = "gpt2"
ARCHITECTURE = "GPT2LMHeadModel"
PREFIX = "transformer."

_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}
"""Two names of the tanh form: one writes it out, and the other calls torch's."""
_READ = (
    "vocab_size",
    "n_positions",
    "n_embd",
    "n_layer",
    "n_head",
    "n_inner",
    "activation_function",
    "layer_norm_epsilon",
    "tie_word_embeddings",
    "dtype",
    "torch_dtype",
)
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    # It makes scores at least float32, as this decoder always does.
    "reorder_and_upcast_attn": (False, True),
}
_BOOKKEEPING = frozenset(
    (
        *("resid_pdrop", "embd_pdrop", "attn_pdrop"),
        *("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels"),
        *("summary_first_dropout", "n_ctx"),
    )
)
"""Keys about training, about heads that a language model has not, and a second number of positions
that nobody reads."""


def read_config(document: Mapping[str, Any]) -> ModelConfig:
    """Read the content of a GPT-2's ``config.json``.

    Raises:
        ConfigError: a key is missing, unknown, or of a value that is not computed.
    """
    _check_keys(document)
    dim, heads = json_values.integer(document, "n_embd"), json_values.integer(document, "n_head")
    if heads < 1 or dim % heads:
        raise ConfigError(f"config.json: n_head is {heads}, which does not divide n_embd {dim}")
    named = json_values.get(document, "activation_function")
    hidden = (
        4 * dim if document.get("n_inner") is None else json_values.integer(document, "n_inner")
    )
    return ModelConfig(
        vocab=json_values.integer(document, "vocab_size"),
        dim=dim,
        layers=json_values.integer(document, "n_layer"),
        attention=Attention(heads, heads, dim // heads, qkv_bias=True, out_bias=True),
        rope=None,
        norm=Norm(json_values.number(document, "layer_norm_epsilon"), centred=True),
        mlp=Mlp(hidden, _ACTIVATIONS[named], gated=False, bias=True),
        tied=json_values.boolean(document, "tie_word_embeddings")
        if "tie_word_embeddings" in document
        else True,  # as the class has it, and no file of the first releases has the key
        max_positions=json_values.integer(document, "n_positions"),
        learned_positions=True,
    )


def _check_keys(document: Mapping[str, Any]) -> None:
    check = json_values.check_value
    check("architectures", document.get("architectures"), (None, [ARCHITECTURE]))
    named = json_values.get(document, "activation_function")
    check("activation_function", named, tuple(_ACTIVATIONS))
    neutral = {**config_keys.NEUTRAL, **_NEUTRAL}
    known = {"model_type", "architectures", *_READ, *_BOOKKEEPING, *config_keys.BOOKKEEPING}
    for key, value in document.items():
        if key in neutral and key not in known:
            # Files of the first releases have settings of a text generator here.
            if key != "task_specific_params":
                check(key, value, neutral[key])
        elif key not in known:
            raise ConfigError(
                f"config.json: key {key!r} (value {value!r}) is not understood for a gpt2, so what "
                "the model computes is not known; remove the key if it changes nothing"
            )


def is_gpt2(config: ModelConfig) -> bool:
    """Return whether a config is a GPT-2's, with nothing of other families in it."""
    attention, mlp = config.attention, config.mlp
    return (
        config
        == ModelConfig(
            vocab=config.vocab,
            dim=attention.heads * attention.head_dim,
            layers=config.layers,
            attention=Attention(
                attention.heads, attention.heads, attention.head_dim, qkv_bias=True, out_bias=True
            ),
            rope=None,
            norm=Norm(config.norm.eps, centred=True),
            mlp=Mlp(mlp.hidden, mlp.activation, gated=False, bias=True),
            tied=config.tied,
            max_positions=config.max_positions,
            learned_positions=True,
        )
        and mlp.activation in _ACTIVATIONS.values()
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the content of a GPT-2's ``config.json``, without the type of the tensors."""
    named = next(theirs for theirs, ours in _ACTIVATIONS.items() if ours == config.mlp.activation)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab,
        "n_positions": config.max_positions,
        "n_embd": config.dim,
        "n_layer": config.layers,
        "n_head": config.attention.heads,
        "n_inner": config.mlp.hidden,
        "activation_function": named,
        "layer_norm_epsilon": config.norm.eps,
        "tie_word_embeddings": config.tied,
        # Without these, transformers would take 50256 and stop generating at a plain token.
        "bos_token_id": None,
        "eos_token_id": None,
    }


def form(config: ModelConfig, names: Iterable[str] | None = None) -> Form:
    """Return where a GPT-2's checkpoint has each tensor.

    Args:
        config: the decoder.
        names: the checkpoint's tensors: those of the first releases lack the prefix that others
            have. Without, they have it.
    """
    prefix = "" if names is not None and "wte.weight" in names else PREFIX
    dim, found = config.dim, {}
    for ours, theirs in _TENSORS.items():
        found[f"{ours}.weight"] = Place(f"{prefix}{theirs}.weight")
        found[f"{ours}.bias"] = Place(f"{prefix}{theirs}.bias")
    for layer in range(config.layers):
        for ours, (theirs, part, turned) in _LAYER.items():
            for kind in ("weight", "bias"):
                found[f"model.layers.{layer}.{ours}.{kind}"] = Place(
                    f"{prefix}h.{layer}.{theirs}.{kind}",
                    first=part * dim,
                    transposed=turned and kind == "weight",
                )
    return found


_TENSORS = {"model.embed_tokens": "wte", "model.embed_positions": "wpe", "model.norm": "ln_f"}
_LAYER = {
    "input_layernorm": ("ln_1", 0, False),
    "self_attn.q_proj": ("attn.c_attn", 0, True),
    "self_attn.k_proj": ("attn.c_attn", 1, True),
    "self_attn.v_proj": ("attn.c_attn", 2, True),
    "self_attn.o_proj": ("attn.c_proj", 0, True),
    "post_attention_layernorm": ("ln_2", 0, False),
    "mlp.up_proj": ("mlp.c_fc", 0, True),
    "mlp.down_proj": ("mlp.c_proj", 0, True),
}
"""By our names: the checkpoint's, which of the parts that stand in one, and whether transposed."""
