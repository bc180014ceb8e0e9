"""Faults of a rotation of neighbours, (2i, 2i + 1), and of checkpoints like GLM-4's.

A model whose heads are turned by halves has no place for these. I rotary pairs, N channels turned.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("config", kills=("LOGITS-001", "LOGITS-002"), bug="huggingface/transformers#47403")
def neighbours_turned_as_halves(config: Any) -> Any:
    """Halves are turned as pairs, with weights that are laid out for neighbours."""
    if config.rope is None:
        return config
    return dataclasses.replace(config, rope=dataclasses.replace(config.rope, interleaved=False))


@mutant("Rotary.forward", kills=("LOGITS-001", "LOGITS-002", "ROPE-003"), bug="generic")
def neighbours_by_the_phases_of_halves(honest: Honest, self: Any, x_BHTK: Any, phases: Any) -> Any:
    """Neighbours are turned, and each channel by the phase that it would have in a half."""
    if not self.interleaved:
        return honest(self, x_BHTK, phases)
    import torch  # noqa: PLC0415  # this module is imported where torch is not

    cos, sin = (torch.cat((part, part), dim=-1) for part in phases)
    x = x_BHTK[..., : cos.shape[-1]].to(cos.dtype)
    beside = self.together(-x[..., 1::2], x[..., ::2])
    turned = (x * cos + beside * sin).to(x_BHTK.dtype)
    return torch.cat((turned, x_BHTK[..., cos.shape[-1] :]), dim=-1)


@mutant(
    "Rotary.together",
    bug="generic",
    equivalent="Queries and keys are put in the same other order, and their products are sums of "
    "the same terms.",
)
def turned_neighbours_left_as_halves(
    _: Honest, self: Any, first_BHTI: Any, second_BHTI: Any
) -> Any:
    """Neighbours, once they are turned, are left as two halves of their head."""
    import torch  # noqa: PLC0415  # this module is imported where torch is not

    del self
    return torch.cat((first_BHTI, second_BHTI), dim=-1)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def norms_around_the_parts_swapped(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The norm behind attention and the one before the feed-forward have each other's weights."""
    # Gemma calls the first one post_attention_layernorm, and GLM-4 the second.
    if not config.post_norms:
        return honest(config, weights, **named)
    other = {
        "post_attention_layernorm": "pre_feedforward_layernorm",
        "pre_feedforward_layernorm": "post_attention_layernorm",
    }

    def source(name: str) -> str:
        *before, kind, end = name.split(".")
        return ".".join((*before, other.get(kind, kind), end))

    return honest(config, {name: weights[source(name)] for name in weights}, **named)
