"""Faults of a decoder of gpt-oss's shape: sinks, clamped units, biases of routers and experts.

A model without these has no place for the faults. B batch, H heads, T tokens, S keys, F hidden
units, E experts.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


def _units(config: Any, **changes: Any) -> Any:
    """Return a configuration whose clamped units are others, where it has such."""
    if config.mlp.limit is None:
        return config
    return dataclasses.replace(config, mlp=dataclasses.replace(config.mlp, **changes))


@mutant("weights_of", kills=EVERYWHERE, bug="vllm-project/vllm-metal#550")
def sinks_left_out(honest: Honest, scores_BHTS: Any, _: Any) -> Any:
    """The sinks do not reach the softmax."""
    return honest(scores_BHTS, None)


@mutant("weights_of", kills=EVERYWHERE, bug="generic")
def one_sink_for_all_heads(honest: Honest, scores_BHTS: Any, sinks_H: Any) -> Any:
    """All heads of a layer have the sink of the first."""
    return honest(scores_BHTS, sinks_H if sinks_H is None else sinks_H[:1].expand(len(sinks_H)))


@mutant("attend", kills=EVERYWHERE, bug="generic")
def sinks_divided_as_scores(honest: Honest, *inputs: Any) -> Any:
    """The sinks are divided by the root of the head dim, as the scores are."""
    *others, shape, sinks_H = inputs
    if sinks_H is not None:
        sinks_H = sinks_H / math.sqrt(shape.head_dim)
    return honest(*others, shape, sinks_H)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def sinks_where_there_is_a_window_alone(
    honest: Honest, config: Any, weights: Any, **named: Any
) -> Any:
    """Layers that see everything have no sinks: their path through the code is another."""
    decoder = honest(config, weights, **named)
    for i, layer in enumerate(decoder.model.layers):
        if config.attention.sinks and config.attention.window_of(i) is None:
            layer.self_attn.sinks = None
    return decoder


@mutant("config", kills=EVERYWHERE, bug="huggingface/transformers#40197")
def limit_of_seven_whatever_is_asked(config: Any) -> Any:
    """Units are clamped at 7, the limit of the released models, whatever the configuration says."""
    return _units(config, limit=7.0)


@mutant("config", kills=EVERYWHERE, bug="generic")
def units_of_plain_silu(config: Any) -> Any:
    """The sigmoid of the gate takes it as it is, and not 1.702 times."""
    return _units(config, sharpness=1.0)


@mutant("config", kills=EVERYWHERE, bug="generic")
def nothing_added_to_what_the_gate_multiplies(config: Any) -> Any:
    """The gate multiplies the other projection, and not that and 1."""
    return _units(config, offset=0.0)


@mutant("opened", kills=EVERYWHERE, bug="generic", below_noise_at=("bf16",))
def gates_of_units_clamped_from_below_too(honest: Honest, gate_BTF: Any, shape: Any) -> Any:
    """The limit clamps the gate on both sides."""
    least = None if shape.limit is None else -shape.limit
    return honest(gate_BTF if least is None else gate_BTF.clamp(min=least), shape)


@mutant("passed", kills=EVERYWHERE, bug="generic")
def units_clamped_from_above_alone(_: Honest, up_BTF: Any, shape: Any) -> Any:
    """The limit clamps what the gate multiplies from above alone."""
    if shape.limit is not None:
        up_BTF = up_BTF.clamp(max=shape.limit)
    return up_BTF + shape.offset if shape.offset else up_BTF


@mutant("passed", kills=EVERYWHERE, bug="generic")
def units_clamped_with_their_offset(_: Honest, up_BTF: Any, shape: Any) -> Any:
    """The limit clamps what the gate multiplies when 1 has been added to it."""
    if shape.offset:
        up_BTF = up_BTF + shape.offset
    return up_BTF if shape.limit is None else up_BTF.clamp(-shape.limit, shape.limit)


def _both(gate: Any, up: Any) -> tuple[Any, Any]:
    """Return the halves, upper and lower, of rows that take turns."""
    import numpy as np  # noqa: PLC0415  # lists of mutants are printed without it

    turns = np.stack([gate, up], axis=1).reshape(-1, *gate.shape[1:])
    return turns[: len(gate)], turns[len(gate) :]


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def gates_taken_for_the_first_half(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """Gates and what they multiply take turns in columns, and are taken for two halves."""
    changed = dict(weights)
    names = () if config.mlp.limit is None else tuple(weights)
    for name in names:
        before, found, kind = name.partition(".gate_proj.")
        if found:
            other = f"{before}.up_proj.{kind}"
            changed[name], changed[other] = _both(weights[name], weights[other])
    return honest(config, changed, **named)


def _without(weights: Any, ending: str) -> dict[str, Any]:
    """Return weights in which those with a name that ends so are 0."""
    return {name: array * (not name.endswith(ending)) for name, array in weights.items()}


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def bias_of_the_router_left_out(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The router's scores lack its bias."""
    return honest(config, _without(weights, "mlp.gate.bias"), **named)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def biases_of_experts_left_out(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """What the experts answer lacks the bias of their way back."""
    if config.mlp.experts is None:
        return honest(config, weights, **named)
    return honest(config, _without(weights, "down_proj.bias"), **named)


@mutant("Mixture.forward", kills=EVERYWHERE, bug="generic")
def biases_of_experts_not_weighed(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The bias of each chosen expert is added as it is, and not times the expert's share."""
    answer_BTD = honest(self, x_BTD)
    if not self.shape.bias:
        return answer_BTD
    from reference_model.moe import expert_shares  # noqa: PLC0415  # imports torch

    share_BTE = expert_shares(self.gate(x_BTD), self.shape).to(x_BTD.dtype)
    for e, expert in enumerate(self.experts):
        share_BT1 = share_BTE[..., e : e + 1]
        lacking_BT1 = (share_BT1 > 0) * (1 - share_BT1)
        answer_BTD = answer_BTD + lacking_BT1 * expert.down_proj.bias
    return answer_BTD


@mutant("config", kills=EVERYWHERE, bug="generic")
def softmax_before_the_choice(config: Any) -> Any:
    """Shares are those of the softmax over all experts where they are of the chosen alone."""
    experts = config.mlp.experts
    if experts is None or experts.softmax_first:
        return config
    changed = dataclasses.replace(experts, softmax_first=True)
    return dataclasses.replace(config, mlp=dataclasses.replace(config.mlp, experts=changed))


@mutant("config", kills=EVERYWHERE, bug="generic")
def ramp_of_yarn_rounded_to_pairs(config: Any) -> Any:
    """YaRN's ramp begins and ends at a pair where the configuration says that it need not."""
    scaling: Any = getattr(config.rope, "scaling", None)
    if getattr(scaling, "truncate", True):
        return config
    scaling = dataclasses.replace(scaling, truncate=True)
    return dataclasses.replace(config, rope=dataclasses.replace(config.rope, scaling=scaling))
