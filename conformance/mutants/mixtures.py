"""Faults of a mixture of experts in the decoder: who is chosen, how much they count, who is who.

A model without one has no place for these. B batch, T tokens, E experts.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE, rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


def _experts(config: Any, **changes: Any) -> Any:
    """Return a configuration whose mixture is another, where it has one."""
    if config.mlp.experts is None:
        return config
    experts = dataclasses.replace(config.mlp.experts, **changes)
    return dataclasses.replace(config, mlp=dataclasses.replace(config.mlp, experts=experts))


@mutant("config", kills=EVERYWHERE, bug="generic")
def shares_of_experts_not_renormalised(config: Any) -> Any:
    """The shares of the chosen experts are those of the softmax over all, and add up to less."""
    return _experts(config, renormalise=False)


@mutant("config", kills=EVERYWHERE, bug="generic")
def one_expert_for_two(config: Any) -> Any:
    """A token passes the best expert alone, where it is to pass two."""
    return _experts(config, chosen=1)


@mutant("config", kills=EVERYWHERE, bug="generic")
def one_expert_too_many(config: Any) -> Any:
    """A token passes one expert more than it is to pass."""
    experts = config.mlp.experts
    return config if experts is None else _experts(config, chosen=experts.chosen + 1)


@mutant(
    "config",
    bug="NVIDIA/TensorRT-LLM#2752",
    equivalent="The sum over all experts cancels where the shares of the chosen are divided by "
    "theirs, and the softmax keeps the order of the scores.",
)
def experts_chosen_before_the_softmax(config: Any) -> Any:
    """The shares are the softmax over the chosen experts' scores alone, where they add up to 1."""
    if config.mlp.experts is None or not config.mlp.experts.renormalise:
        return config
    return _experts(config, softmax_first=False, renormalise=False)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def experts_in_another_order(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The experts are loaded one place further on, and the router's rows are not."""
    experts = config.mlp.experts
    if experts is None:
        return honest(config, weights, **named)

    def source(name: str) -> str:
        before, found, after = name.partition(".experts.")
        if not found:
            return name
        number, _, rest = after.partition(".")
        return f"{before}.experts.{(int(number) + 1) % experts.count}.{rest}"

    return honest(config, {name: weights[source(name)] for name in weights}, **named)


@mutant("expert_shares", kills=EVERYWHERE, bug="generic")
def chosen_experts_count_alike(honest: Honest, logits_BTE: Any, shape: Any) -> Any:
    """The chosen experts count alike, whatever the router's scores are."""
    return (honest(logits_BTE, shape) > 0).to(logits_BTE.dtype) / shape.chosen


@mutant("expert_shares", kills=EVERYWHERE, bug="generic")
def shares_by_the_wrong_rank(honest: Honest, logits_BTE: Any, shape: Any) -> Any:
    """The best of the chosen experts gets the share of the last, and the last that of the best."""
    share_BTE = honest(logits_BTE, shape)
    sum_BT1 = share_BTE.sum(-1, keepdim=True)
    other_BTE = 2 * sum_BT1 / shape.chosen - share_BTE
    return other_BTE * (share_BTE > 0)


@mutant("expert_shares", kills=EVERYWHERE, bug="generic")
def worst_experts_chosen(honest: Honest, logits_BTE: Any, shape: Any) -> Any:
    """The experts with the lowest scores are chosen."""
    return honest(-logits_BTE, shape)


@mutant(
    "expert_shares",
    kills=("LOGITS-001", "TAP-001"),
    bug="generic",
    equivalent_at={"bf16": "The router's scores are bfloat16 numbers there."},
    below_noise_at=("fp16",),
)
def router_in_bfloat16(honest: Honest, logits_BTE: Any, shape: Any) -> Any:
    """The router's scores are rounded to bfloat16 before their softmax."""
    return honest(rounded(logits_BTE, "bfloat16"), shape)


@mutant("Mixture.forward", kills=EVERYWHERE, bug="generic")
def shares_of_the_last_token(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Every token of a call passes the experts of the call's last token."""
    shares = self.gate.forward

    def last(y_BTD: Any) -> Any:
        return shares(y_BTD)[:, -1:].expand(-1, y_BTD.shape[1], -1)

    self.gate.forward = last
    try:
        return honest(self, x_BTD)
    finally:
        del self.gate.forward


@mutant("Mixture.forward", kills=EVERYWHERE, bug="generic")
def shares_weigh_the_input(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """A share multiplies what its expert reads, where it is to multiply what the expert answers."""
    from reference_model.moe import expert_shares  # noqa: PLC0415  # imports torch

    answer_BTD = honest(self, x_BTD)
    share_BTE = expert_shares(self.gate(x_BTD), self.shape).to(x_BTD.dtype)
    for e, expert in enumerate(self.experts):
        share_BT1 = share_BTE[..., e : e + 1]
        wrong_BTD = expert(share_BT1 * x_BTD) - share_BT1 * expert(x_BTD)
        answer_BTD = answer_BTD + (share_BT1 > 0) * wrong_BTD
    return answer_BTD
