"""Faults of what some families do to queries, keys and values: biases, and norms of each head.

They replace ``build_decoder``, which gets a config and tensors by Hugging Face's names; a model
without such tensors has no place for them. B batch, H heads, T tokens, K head dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Honest = Callable[..., Any]


def _without(weights: Any, *names: str) -> dict[str, Any]:
    return {n: np.zeros_like(t) if n.endswith(names) else t for n, t in weights.items()}


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def projection_biases_dropped(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """Queries, keys and values are projected without their biases."""
    return honest(config, _without(weights, "_proj.bias"), **named)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def bias_of_the_keys_dropped(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """Keys are projected without their bias, which no softmax would notice without rotation."""
    return honest(config, _without(weights, "k_proj.bias"), **named)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def biases_laid_out_for_neighbours(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """A conversion lays out the biases of queries and keys for pairs of neighbours, and no more."""
    dim = config.attention.head_dim
    order = np.arange(dim).reshape(2, dim // 2).T.ravel()
    turned = {
        n: t.reshape(-1, dim)[:, order].ravel() if n.endswith(("q_proj.bias", "k_proj.bias")) else t
        for n, t in weights.items()
    }
    return honest(config, turned, **named)


def _attentions(decoder: Any) -> Iterator[Any]:
    """Yield the attention of each layer that normalises its heads."""
    for block in decoder.model.layers:
        if hasattr(block.self_attn.q_norm, "weight"):
            yield block.self_attn


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def head_norms_missing(honest: Honest, *arguments: Any, **named: Any) -> Any:
    """Queries and keys are turned without having been normalised."""
    from torch import nn  # noqa: PLC0415  # this module is imported where torch is not

    decoder = honest(*arguments, **named)
    for attention in _attentions(decoder):
        attention.q_norm, attention.k_norm = nn.Identity(), nn.Identity()
    return decoder


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def head_norms_exchanged(honest: Honest, *arguments: Any, **named: Any) -> Any:
    """Queries have the norm of the keys, and keys that of the queries."""
    decoder = honest(*arguments, **named)
    for attention in _attentions(decoder):
        attention.q_norm, attention.k_norm = attention.k_norm, attention.q_norm
    return decoder


@mutant("build_decoder", kills=("LOGITS-001",), bug="generic", below_noise_at=("fp16", "bf16"))
def head_norms_of_another_epsilon(honest: Honest, *arguments: Any, **named: Any) -> Any:
    """The norms of queries and keys have an epsilon of 1e-5, whatever the checkpoint says."""
    decoder = honest(*arguments, **named)
    for attention in _attentions(decoder):
        attention.q_norm.eps = attention.k_norm.eps = 1e-5
    return decoder


@mutant("RMSNorm.forward", kills=EVERYWHERE, bug="generic")
def head_norms_over_all_heads(honest: Honest, self: Any, x: Any) -> Any:
    """One mean square of all heads together normalises each of them."""
    if x.dim() < 4:
        return honest(self, x)
    heads_BHT1 = (x * x).mean(-1, keepdim=True) + self.eps
    return honest(self, x) * (heads_BHT1 / heads_BHT1.mean(1, keepdim=True)).sqrt()
