"""Faults of loading weights: a tensor goes to the wrong place, or in the wrong layout.

They replace ``build_decoder``, which gets a config and tensors by Hugging Face's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]

LAYER = "model.layers.{}."
HEAD = "lm_head.weight"
EMBEDDING = "model.embed_tokens.weight"


def _of_layer(weights: Any, layer: int, name: str) -> str:
    """Return the full name of a layer's product in its feed-forward, or in its first expert."""
    prefix = f"{LAYER.format(layer)}mlp."
    alone = f"{prefix}{name}.weight"
    return alone if alone in weights else f"{prefix}experts.0.{name}.weight"


def _swapped(weights: Any, one: str, other: str) -> dict[str, Any]:
    """Return the weights with two parts of names, such as ``gate`` and ``up``, exchanged.

    A model that has but one of the two keeps it: it has no place for the fault.
    """

    def partner(name: str) -> str:
        if one in name:
            return name.replace(one, other)
        return name.replace(other, one)

    return {name: weights.get(partner(name), weights[name]) for name in weights}


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def gate_and_up_swapped(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The gate and the up projection are exchanged."""
    return honest(config, _swapped(weights, "gate_proj", "up_proj"), **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def key_and_value_projections_swapped(
    honest: Honest, config: Any, weights: Any, **named: Any
) -> Any:
    """The key and the value projection are exchanged, as by a wrong cut of a fused one."""
    return honest(config, _swapped(weights, "k_proj", "v_proj"), **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def norms_of_a_block_swapped(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The two norms of each block are exchanged."""
    swapped = _swapped(weights, "input_layernorm", "post_attention_layernorm")
    return honest(config, swapped, **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def layers_swapped(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The first two layers are exchanged."""
    return honest(config, _swapped(weights, LAYER.format(0), LAYER.format(1)), **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def first_layer_repeated(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The second layer has the weights of the first, as far as it has such."""
    first, second = LAYER.format(0), LAYER.format(1)
    repeated = {name: weights.get(name.replace(second, first), weights[name]) for name in weights}
    return honest(config, repeated, **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def last_layer_skipped(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The last layer is left out."""
    decoder = honest(config, weights, **named)
    last = decoder.model.layers[-1]
    ways_back = [m for name, m in last.mlp.named_modules() if name.endswith("down_proj")]
    for projection in (last.self_attn.o_proj, *ways_back):
        projection.weight.zero_()
    return decoder


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def output_projection_transposed(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The output projection of attention is transposed where it is square."""
    turned = {
        name: tensor.T.copy() if "o_proj" in name and len({*tensor.shape}) == 1 else tensor
        for name, tensor in weights.items()
    }
    return honest(config, turned, **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="huggingface/transformers#47403")
def weights_permuted_for_neighbours(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """Query and key projections are laid out for pairs of neighbours, and halves are turned."""
    dim = config.attention.head_dim
    order = np.arange(dim).reshape(2, dim // 2).T.reshape(-1)

    def permuted(tensor: Any) -> Any:
        return tensor.reshape(-1, dim, *tensor.shape[1:])[:, order].reshape(tensor.shape)

    turned = {n: permuted(t) if "q_proj" in n or "k_proj" in n else t for n, t in weights.items()}
    return honest(config, turned, **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def tensor_left_unloaded(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The last layer's up projection is not found and stays as it was initialised."""
    name = _of_layer(weights, config.layers - 1, "up_proj")
    random = np.random.Generator(np.random.Philox(0)).standard_normal(weights[name].shape)
    fresh = (0.02 * random).astype(weights[name].dtype)
    return honest(config, {**weights, name: fresh}, **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def one_row_of_the_head_stale(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The head's row of token 17 is the one of token 18."""
    name = HEAD if HEAD in weights else EMBEDDING
    stale = weights[name].copy()
    stale[17] = stale[18]
    return honest(config, {**weights, name: stale}, **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="vllm-project/vllm#38966")
def weights_off_by_a_step(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """All weights of one projection are too large by a 256th of the largest, a zero point off."""
    name = _of_layer(weights, 0, "down_proj")
    step = np.abs(weights[name]).max() / 256
    return honest(config, {**weights, name: weights[name] + step}, **named)
