"""Faults of an expert that every token passes, and of shares that do not add up to 1.

A model whose mixtures have no such expert, or divide their shares by their sum, has no place for
these. B batch, T tokens, D model.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("shared_share", kills=EVERYWHERE, bug="generic")
def shared_expert_left_out(honest: Honest, score_BT1: Any) -> Any:
    """The expert that every token passes is left out."""
    return 0 * honest(score_BT1)


@mutant("shared_share", kills=EVERYWHERE, bug="vllm-project/vllm-ascend#15953")
def shared_expert_without_its_gate(honest: Honest, score_BT1: Any) -> Any:
    """The expert that every token passes counts whole, whatever its gate says."""
    return 0 * honest(score_BT1) + 1


@mutant("shared_share", kills=EVERYWHERE, bug="generic")
def shared_gate_without_its_sigmoid(_: Honest, score_BT1: Any) -> Any:
    """The score of the shared expert's gate multiplies what it answers, without a sigmoid."""
    return score_BT1


@mutant("shared_share", kills=EVERYWHERE, bug="generic")
def shared_gate_by_a_softmax(_: Honest, score_BT1: Any) -> Any:
    """The gate's only score passes a softmax, which makes 1 of it."""
    return score_BT1.softmax(-1)


@mutant("Mixture.forward", kills=EVERYWHERE, bug="ikawrakow/ik_llama.cpp#1368")
def shared_gate_on_the_sum(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The shared expert's gate multiplies what the chosen experts answer, too."""
    answer_BTD = honest(self, x_BTD)
    if not self.shape.shared:
        return answer_BTD
    open_BT1 = self.shared_expert_gate(x_BTD).sigmoid()
    shared_BTD = self.shared_expert(x_BTD)
    return open_BT1 * (answer_BTD - open_BT1 * shared_BTD + shared_BTD)


@mutant("Mixture.forward", kills=EVERYWHERE, bug="generic")
def shared_gate_reads_the_answer(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The shared expert's gate reads what the expert answers, where it is to read the token."""
    answer_BTD = honest(self, x_BTD)
    if not self.shape.shared:
        return answer_BTD
    shared_BTD, gate = self.shared_expert(x_BTD), self.shared_expert_gate
    return answer_BTD + (gate(shared_BTD).sigmoid() - gate(x_BTD).sigmoid()) * shared_BTD


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def shared_expert_by_gelu(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The gates of the shared expert's units open by GELU, and not by SiLU as the others'."""
    decoder = honest(config, weights, **named)
    for layer in decoder.model.layers:
        shared = getattr(layer.mlp, "shared_expert", None)
        if shared is not None:
            shared.shape = dataclasses.replace(shared.shape, activation="gelu")
    return decoder


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def shared_expert_of_a_routed_ones_size(
    honest: Honest, config: Any, weights: Any, **named: Any
) -> Any:
    """The shared expert has the units of a routed one, its first, and the others are not read."""
    changed = dict(weights)
    for name in weights:
        if name.endswith("mlp.shared_expert.down_proj.weight"):
            changed[name] = weights[name].copy()
            changed[name][:, config.mlp.expert_hidden :] = 0
    return honest(config, changed, **named)


@mutant("config", kills=EVERYWHERE, bug="QwenLM/Qwen3#687")
def shares_renormalised_whatever_is_asked(config: Any) -> Any:
    """The shares of the chosen experts are divided by their sum where they are not to be."""
    return _unnormalised(config, renormalise=True)


@mutant("config", kills=EVERYWHERE, bug="generic")
def softmax_of_the_chosen_for_that_of_all(config: Any) -> Any:
    """Experts are chosen before the softmax, which is to run over all of them."""
    return _unnormalised(config, softmax_first=False)


def _unnormalised(config: Any, **changes: Any) -> Any:
    """Return a configuration whose shares are others, where they need not add up to 1."""
    experts = config.mlp.experts
    if experts is None or experts.renormalise or not experts.softmax_first:
        return config
    changed = dataclasses.replace(experts, **changes)
    return dataclasses.replace(config, mlp=dataclasses.replace(config.mlp, experts=changed))
