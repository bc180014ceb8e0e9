"""Llama's family of decoders in JAX: a function of weights, tokens and cache, jitted whole.

Written for itself, from the architecture: layers are stacked and scanned, the cache is a buffer of
a fixed capacity into which each step writes its keys and values, as programs of fixed shapes need.
Shape letters: L layers, B batch, T tokens, C capacity of the cache, D model, H heads, G key/value
heads, K head dim, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters import _llama, _phases
from conformance.adapters._jax import lax, nn, numpy
from conformance.adapters._jax_operators import phases
from conformance.adapters._jax_operators.norms import rms_norm
from conformance.adapters._jax_operators.rotary import rotate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.adapters._llama import Llama
    from conformance.package import ModelPackage

    Weights = Mapping[str, Any]
    Cache = tuple[Any, Any]
    """Keys and values, each (L, B, C, G, K)."""


def weights_of(package: ModelPackage, llama: Llama, dtype: Any) -> dict[str, Any]:
    """Return the weights, rounded once to a type; those of the layers stacked, (L, ...)."""
    stored = package.weights()

    def stacked(name: str) -> Any:
        layers = (stored[f"model.layers.{i}.{name}"] for i in range(llama.layers))
        return np.stack([weight.astype(dtype) for weight in layers])

    embedding_VD = stored["model.embed_tokens.weight"].astype(dtype)
    return {
        "embedding": embedding_VD,
        "layers": {
            name: stacked(stored_as)
            for name, stored_as in _llama.LAYER.items()
            if f"model.layers.0.{stored_as}" in stored
        },
        "windows": np.array(llama.windows, np.int32),
        "norm": stored["model.norm.weight"].astype(dtype),
        "head": embedding_VD if llama.tied else stored["lm_head.weight"].astype(dtype),
    }


def forward(
    llama: Llama,
    weights: Weights,
    tokens: tuple[Any, Any, Any],
    start: Any,
    cache: Cache,
) -> tuple[Any, Cache, Any]:
    """Feed tokens to the decoder.

    Args:
        llama: its sizes and constants.
        weights: those of ``weights_of``.
        tokens: ids (B, T), mask (B, C) of what may be seen in the cache, positions (B, T).
        start: where in the cache these tokens stand; ``start`` + T is at most C.
        cache: keys and values of the tokens before them.

    Returns:
        Logits (B, T, V), the cache with these tokens in it, and the stream after each layer,
        (L, B, T, D).
    """
    ids_BT, mask_BC, positions_BT = tokens
    x_BTD = weights["embedding"][ids_BT]
    attributes = {**_phases.DEFAULTS, **llama.phases, "dtype": x_BTD.dtype}
    rotation = phases.cos_and_sin(positions_BT, attributes)
    behind_TC = _behind(start, ids_BT.shape[1], mask_BC.shape[1])
    causal_BTC = (behind_TC >= 0) & (mask_BC[:, None] != 0)

    def block(x_BTD: Any, layer: tuple[Weights, Any, Any, Any]) -> tuple[Any, Any]:
        w, window, past = layer[0], layer[1], layer[2:]
        allowed_BTC = causal_BTC & (behind_TC < window)
        normed = rms_norm(x_BTD, w["before_attention"], llama.epsilon)
        attended, past = _attention(llama, w, normed, rotation, allowed_BTC, start, past)
        x_BTD = x_BTD + attended
        normed = rms_norm(x_BTD, w["before_mlp"], llama.epsilon)
        x_BTD = x_BTD + _mlp(w, normed)
        return x_BTD, (*past, x_BTD)

    layers = weights["layers"], weights["windows"], *cache
    x_BTD, (*cache, taps_LBTD) = lax().scan(block, x_BTD, layers)
    x_BTD = rms_norm(x_BTD, weights["norm"], llama.epsilon)
    return x_BTD @ weights["head"].T, tuple(cache), taps_LBTD


def _behind(start: Any, tokens: int, capacity: int) -> Any:
    """Return how far each place of the cache is behind each token, (T, C); itself is 0."""
    place_C, token_T = (numpy().arange(n, dtype=numpy().int32) for n in (capacity, tokens))
    return start + token_T[:, None] - place_C


def _attention(
    llama: Llama,
    w: Weights,
    x_BTD: Any,
    rotation: tuple[Any, Any],
    allowed_BTC: Any,
    start: Any,
    past: tuple[Any, Any],
) -> tuple[Any, tuple[Any, Any]]:
    """Return what attention adds to the stream, and the layer's keys and values with these."""
    cos, sin = (x_BTR[:, :, None] for x_BTR in rotation)
    shape = (*x_BTD.shape[:2], -1, llama.head_dim)
    q_BTHK, k_BTGK, v_BTGK = (
        (x_BTD @ w[name].T + w.get(f"{name}_bias", 0)).reshape(shape) for name in "qkv"
    )
    if "q_norm" in w:
        q_BTHK = rms_norm(q_BTHK, w["q_norm"], llama.epsilon)
        k_BTGK = rms_norm(k_BTGK, w["k_norm"], llama.epsilon)
    q_BTHK, k_BTGK = (rotate(x, cos, sin) for x in (q_BTHK, k_BTGK))
    k_BCGK, v_BCGK = (
        lax().dynamic_update_slice_in_dim(before, new, start, axis=1)
        for before, new in zip(past, (k_BTGK, v_BTGK), strict=True)
    )
    y_BTHK = nn().dot_product_attention(q_BTHK, k_BCGK, v_BCGK, mask=allowed_BTC[:, None])
    return y_BTHK.reshape(*x_BTD.shape[:2], -1) @ w["o"].T, (k_BCGK, v_BCGK)


def _mlp(w: Weights, x_BTD: Any) -> Any:
    return (nn().silu(x_BTD @ w["gate"].T) * (x_BTD @ w["up"].T)) @ w["down"].T
