"""GPT-2 as the oracle reads it: its own keys of config.json, and how its checkpoint is laid out.

From Radford et al. 2019, section 2.3, and the authors' openai/gpt-2 (``src/model.py``): norms
before each part and one at the end, positions from a table, products stored (in, out), and one
product whose columns are all queries, then all keys, then all values.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from conformance.errors import PackageError
from conformance.oracles.rope import need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.checkpoint import Part

    Array = NDArray[Any]

_ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}


def read(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ``Architecture`` for a GPT-2.

    Raises:
        PackageError: a key is missing, or asks for something that the oracle does not compute.
    """
    dim, heads = int(need(config, "n_embd")), int(need(config, "n_head"))
    if dim % heads:
        raise PackageError(f"{heads} n_head do not divide {dim} n_embd")
    activation = need(config, "activation_function")
    if activation not in _ACTIVATIONS:
        raise PackageError(
            f"activation_function is {activation!r}; the oracle computes {', '.join(_ACTIVATIONS)}"
        )
    for key, value in (("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False)):
        if config.get(key, value) is not value:
            raise PackageError(f"{key} is {config[key]!r}; the oracle computes only {value}")
    inner = config.get("n_inner")
    return {
        "vocab": int(need(config, "vocab_size")),
        "dim": dim,
        "layers": int(need(config, "n_layer")),
        "heads": heads,
        "kv_heads": heads,
        "head_dim": dim // heads,
        "hidden": 4 * dim if inner is None else int(inner),
        "epsilon": float(need(config, "layer_norm_epsilon")),
        "tied": bool(config.get("tie_word_embeddings", True)),
        "rope": None,
        "max_positions": int(need(config, "n_positions")),
        "biased": True,
        "all_biased": True,
        "centred": True,
        "activation": _ACTIVATIONS[activation],
        "gated": False,
    }


def parts(config: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Part]:
    """Return where the checkpoint holds each weight, by the oracle's name for it."""
    prefix = "transformer." if "transformer.wte.weight" in names else ""
    dim = int(config["n_embd"])
    third = {one: slice(i * dim, (i + 1) * dim) for i, one in enumerate("qkv")}
    found: dict[str, Part] = {}
    for i in range(int(config["n_layer"])):
        layer, block = f"model.layers.{i}.", f"{prefix}h.{i}."
        for one, rows in third.items():
            name = f"{layer}self_attn.{one}_proj."
            found[f"{name}weight"] = (f"{block}attn.c_attn.weight", partial(_turned, rows=rows))
            found[f"{name}bias"] = (f"{block}attn.c_attn.bias", itemgetter(rows))
        for ours, theirs in (
            ("self_attn.o_proj", "attn.c_proj"),
            ("mlp.up_proj", "mlp.c_fc"),
            ("mlp.down_proj", "mlp.c_proj"),
        ):
            found[f"{layer}{ours}.weight"] = (f"{block}{theirs}.weight", _turned)
            found[f"{layer}{ours}.bias"] = (f"{block}{theirs}.bias", lambda b: b)
        for ours, theirs in (("input_layernorm", "ln_1"), ("post_attention_layernorm", "ln_2")):
            for kind in ("weight", "bias"):
                found[f"{layer}{ours}.{kind}"] = (f"{block}{theirs}.{kind}", lambda w: w)
    for ours, theirs in (
        ("model.embed_tokens.weight", "wte.weight"),
        ("model.embed_positions.weight", "wpe.weight"),
        ("model.norm.weight", "ln_f.weight"),
        ("model.norm.bias", "ln_f.bias"),
    ):
        found[ours] = (f"{prefix}{theirs}", lambda w: w)
    return found


def _turned(weight_IO: Array, rows: slice = slice(None)) -> Array:
    """Return rows of a product that is stored (in, out), as (out, in)."""
    return weight_IO.T[rows]
