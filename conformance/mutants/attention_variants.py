"""Faults of attention with sinks and with linear biases.

Most are attention as the standard has it, with another mask. H query heads, T queries, S keys.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._calls import changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

SINKS, ALIBI = "operator AttentionWithSinks", "operator AttentionWithAlibi"


def _plain(call: OperatorCall, **inputs: Any) -> OperatorCall:
    """Return the standard's attention on the same queries, keys and values."""
    kept = {name: call.inputs[name] for name in ("Q", "K", "V")}
    scale = {name: value for name, value in call.attributes.items() if name == "scale"}
    return dataclasses.replace(
        call, operator="Attention", domain="", inputs={**kept, **inputs}, attributes=scale
    )


@mutant(SINKS, kills=("ATTN-020",), bug="vllm-project/vllm-metal#550")
def sinks_never_bound(honest: Honest, call: OperatorCall) -> Any:
    """The sinks are not passed on to the kernel."""
    return honest(_plain(call, attn_mask=call.inputs["attn_mask"]))


@mutant(SINKS, kills=("ATTN-020",), bug="generic")
def sink_of_the_first_head(honest: Honest, call: OperatorCall) -> Any:
    """All heads have the sink of the first."""
    sinks_H = call.inputs["sinks"]
    return honest(changed(call, sinks=np.repeat(sinks_H[:1], len(sinks_H))))


@mutant(SINKS, kills=("ATTN-020",), bug="generic")
def sink_of_the_key_value_head(honest: Honest, call: OperatorCall) -> Any:
    """Query heads that share a key/value head share the sink of the first of them."""
    sinks_H = call.inputs["sinks"]
    group = len(sinks_H) // call.inputs["K"].shape[1]
    return honest(changed(call, sinks=np.repeat(sinks_H[::group], group)))


@mutant(SINKS, kills=("ATTN-020",), bug="generic")
def sink_scaled_as_a_score(honest: Honest, call: OperatorCall) -> Any:
    """The sink is multiplied by the scale, as the products of queries and keys are."""
    sinks_H = call.inputs["sinks"]
    scaled = sinks_H * call.inputs["Q"].shape[-1] ** -0.5
    return honest(changed(call, sinks=scaled.astype(sinks_H.dtype)))


@mutant(SINKS, kills=("ATTN-020",), bug="generic")
def sink_counted_twice(honest: Honest, call: OperatorCall) -> Any:
    """Two blocks of keys each add the sink to their sum."""
    sinks_H = call.inputs["sinks"]
    return honest(changed(call, sinks=(sinks_H + np.log(2.0)).astype(sinks_H.dtype)))


def _with_a_key(call: OperatorCall, value: Any) -> OperatorCall:
    """Return attention in which the sink is one more key, all zeros, with this value."""
    keys, values, mask = call.inputs["K"], call.inputs["V"], call.inputs["attn_mask"]
    zero = np.zeros((*keys.shape[:2], 1, keys.shape[3]), keys.dtype)
    sinks_H = call.inputs["sinks"]
    bias = np.where(mask, np.zeros((), keys.dtype), np.asarray(-np.inf, keys.dtype))
    bias_HTS = np.broadcast_to(bias, (len(sinks_H), *bias.shape[-2:]))
    sinks_HT1 = np.broadcast_to(sinks_H[:, None, None], (*bias_HTS.shape[:2], 1))
    return _plain(
        call,
        K=np.concatenate([keys, zero], axis=2),
        V=np.concatenate([values, value.astype(values.dtype)], axis=2),
        attn_mask=np.concatenate([bias_HTS, sinks_HT1], axis=2),
    )


@mutant(SINKS, kills=("ATTN-020",), bug="sgl-project/sgl-kernel-npu#216")
def sink_has_a_value(honest: Honest, call: OperatorCall) -> Any:
    """The sink's weight goes to the mean of all values."""
    mean = call.inputs["V"].astype(np.float64).mean(axis=2, keepdims=True)
    return honest(_with_a_key(call, mean))


@mutant(SINKS, bug="generic", equivalent="The key of zeros scores 0, and its value adds nothing.")
def sink_as_one_more_key(honest: Honest, call: OperatorCall) -> Any:
    """The sink is one more key, all zeros, with its logit in the mask and a value of 0."""
    return honest(_with_a_key(call, np.zeros_like(call.inputs["V"][:, :, :1])))


def _biased(honest: Honest, call: OperatorCall, slopes_H: Any, *, by_key: bool = False) -> Any:
    """Compute causal attention with other slopes, or with slope * j for slope * (j - i)."""
    queries, keys = call.inputs["Q"].shape[2], call.inputs["K"].shape[2]
    ahead_TS = np.arange(keys) - (np.arange(queries)[:, None] + keys - queries)
    distance = np.broadcast_to(np.arange(keys), ahead_TS.shape) if by_key else ahead_TS
    bias_HTS = np.where(ahead_TS > 0, -np.inf, np.multiply.outer(slopes_H, distance))
    return honest(_plain(call, attn_mask=bias_HTS.astype(call.inputs["Q"].dtype)))


def _geometric(heads: int, of: int, first: int = 1) -> Any:
    return 2.0 ** (-8 * np.arange(first, heads + first) / of)


def _slopes(heads: int) -> Any:
    below = 1 << heads.bit_length() - 1
    between = 2.0 ** (-4 * np.arange(1, 2 * below, 2) / below)
    return np.concatenate([_geometric(below, below), between])[:heads]


def _heads(call: OperatorCall) -> int:
    return int(call.inputs["Q"].shape[1])


@mutant(ALIBI, kills=("ATTN-021",), bug="generic")
def slopes_by_the_formula_for_powers_of_two(honest: Honest, call: OperatorCall) -> Any:
    """The slopes are 2^(-8 (h + 1) / H) also where H is no power of two."""
    return _biased(honest, call, _geometric(_heads(call), _heads(call)))


@mutant(ALIBI, kills=("ATTN-021",), bug="generic")
def slopes_of_the_next_power_of_two(honest: Honest, call: OperatorCall) -> Any:
    """A number of heads that is no power of two has the first slopes of the next one."""
    heads = _heads(call)
    return _biased(honest, call, _geometric(heads, 1 << (heads - 1).bit_length()))


@mutant(ALIBI, kills=("ATTN-021",), bug="generic")
def slopes_from_one_on(honest: Honest, call: OperatorCall) -> Any:
    """Slopes are counted from h = 0: the first is 1."""
    heads = _heads(call)
    return _biased(honest, call, 2 ** (8 / (1 << heads.bit_length() - 1)) * _slopes(heads))


@mutant(ALIBI, kills=("ATTN-021",), bug="generic")
def biases_rise_with_the_distance(honest: Honest, call: OperatorCall) -> Any:
    """The bias has the other sign, so that far keys gain."""
    return _biased(honest, call, -_slopes(_heads(call)))


@mutant(ALIBI, kills=("ATTN-021",), bug="generic")
def biases_missing(honest: Honest, call: OperatorCall) -> Any:
    """No bias is added."""
    return _biased(honest, call, np.zeros(_heads(call)))


@mutant(
    ALIBI,
    bug="generic",
    equivalent="slope * j is slope * (j - i) and one number for each query, which softmax drops.",
)
def biases_by_the_keys_position(honest: Honest, call: OperatorCall) -> Any:
    """The bias grows with the key's position and does not look at the query's."""
    return _biased(honest, call, _slopes(_heads(call)), by_key=True)
