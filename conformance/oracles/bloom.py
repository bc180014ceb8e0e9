"""BLOOM as the oracle reads it: its own keys of config.json, and how its checkpoint is laid out.

From Scao et al. 2022 (arXiv:2211.05100), section 3.2.2, and transformers' class: linear biases in
place of positions, a norm of the embedded tokens, and one product whose rows are the queries of the
first head, its keys, its values, and then those of the next head. H heads, K head dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import PackageError
from conformance.oracles.rope import need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.checkpoint import Part

    Array = NDArray[Any]


def read(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ``Architecture`` for a BLOOM.

    Raises:
        PackageError: a key is missing, or asks for something that the oracle does not compute.
    """
    dim, layers, heads = sizes(config)
    if dim % heads:
        raise PackageError(f"{heads} n_head do not divide {dim} hidden_size")
    for key, value in (
        ("apply_residual_connection_post_layernorm", False),
        ("tie_word_embeddings", True),
    ):
        if config.get(key, value) is not value:
            raise PackageError(f"{key} is {config[key]!r}; the oracle computes only {value}")
    return {
        "vocab": int(need(config, "vocab_size")),
        "dim": dim,
        "layers": layers,
        "heads": heads,
        "kv_heads": heads,
        "head_dim": dim // heads,
        "hidden": 4 * dim,
        "epsilon": float(need(config, "layer_norm_epsilon")),
        "tied": True,
        "rope": None,
        # Nothing depends on it; the releases were trained on so many.
        "max_positions": int(config.get("seq_length") or 2048),
        "biased": True,
        "all_biased": True,
        "centred": True,
        "activation": "gelu_tanh",
        "gated": False,
        "linear_bias": True,
        "embedding_norm": True,
    }


def sizes(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return width, layers and heads, by either of two names."""
    dim, layers, heads = (
        int(need({**config, one: config.get(one, config.get(other))}, one))
        for one, other in (
            ("hidden_size", "n_embed"),
            ("n_layer", "num_hidden_layers"),
            ("n_head", "num_attention_heads"),
        )
    )
    return dim, layers, heads


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a tensor that are no slice of it: what is read of them is a copy."""

    places: Array

    def __call__(self, whole: Array) -> Array:
        """Return the rows."""
        rows: Array = whole[self.places]
        return rows

    def put(self, whole: Array, rows: Array) -> None:
        """Write the rows into the whole."""
        whole[self.places] = rows


def parts(config: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Part]:
    """Return where the checkpoint holds each weight, by the oracle's name for it."""
    prefix = "transformer." if "transformer.word_embeddings.weight" in names else ""
    dim, layers, heads = sizes(config)
    row_3HK = np.arange(3 * dim).reshape(heads, 3, -1).swapaxes(0, 1).reshape(3, -1)
    found: dict[str, Part] = {}
    for kind in ("weight", "bias"):
        for ours, theirs in (
            ("embed_tokens", "word_embeddings"),
            ("embed_norm", "word_embeddings_layernorm"),
            ("norm", "ln_f"),
        ):
            if (ours, kind) != ("embed_tokens", "bias"):
                found[f"model.{ours}.{kind}"] = (f"{prefix}{theirs}.{kind}", lambda w: w)
        for i in range(layers):
            layer, block = f"model.layers.{i}.", f"{prefix}h.{i}."
            for one, rows in zip("qkv", row_3HK, strict=True):
                source = f"{block}self_attention.query_key_value.{kind}"
                found[f"{layer}self_attn.{one}_proj.{kind}"] = (source, Rows(rows))
            for ours, theirs in (
                ("self_attn.o_proj", "self_attention.dense"),
                ("mlp.up_proj", "mlp.dense_h_to_4h"),
                ("mlp.down_proj", "mlp.dense_4h_to_h"),
                ("input_layernorm", "input_layernorm"),
                ("post_attention_layernorm", "post_attention_layernorm"),
            ):
                found[f"{layer}{ours}.{kind}"] = (f"{block}{theirs}.{kind}", lambda w: w)
    return found
