"""Faults of the router of a mixture of experts. N tokens, E experts, C chosen ones."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

ROUTER = "operator MoERouter"
ALL = ("ROUTER-001", "ROUTER-002", "ROUTER-003", "ROUTER-004", "ROUTER-005", "ROUTER-006")


def _asked(call: OperatorCall, **attributes: Any) -> OperatorCall:
    return dataclasses.replace(call, attributes={**call.attributes, **attributes})


def _softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _shares_first(call: OperatorCall) -> bool:
    return bool(call.attributes["order"] == "softmax-then-topk")


def _wide(call: OperatorCall) -> tuple[Any, Any]:
    """Return logits (N, E) and bias (E,) in float64."""
    return tuple(call.inputs[name].astype(np.float64) for name in ("logits", "selection_bias"))


def _answer(call: OperatorCall, source_NE: Any, chosen_NC: Any) -> Any:
    """Answer weights that are taken from a source, renormalised and scaled as the call says."""
    weights_NC = np.take_along_axis(source_NE, chosen_NC, axis=-1)
    if call.attributes["renormalise"]:
        weights_NC = weights_NC / weights_NC.sum(axis=-1, keepdims=True)
    scaled_NC = weights_NC * call.attributes["scale"]
    return {"weights": scaled_NC.astype(call.inputs["logits"].dtype), "indices": chosen_NC}


def _reweighed(answer: Any, change: Callable[[Any], Any]) -> Any:
    weights = answer["weights"]
    return {**answer, "weights": change(weights).astype(weights.dtype)}


@mutant(ROUTER, kills=("ROUTER-001", "ROUTER-005", "ROUTER-006"), bug="sgl-project/sglang#35160")
def logits_as_weights(honest: Honest, call: OperatorCall) -> Any:
    """Where nothing is renormalised, the chosen experts' raw logits are their weights."""
    if not _shares_first(call) or call.attributes["renormalise"]:
        return honest(call)
    return _answer(call, _wide(call)[0], honest(call)["indices"])


@mutant(ROUTER, kills=("ROUTER-001", "ROUTER-005", "ROUTER-006"), bug="lablup/mlxcel#391")
def always_renormalised(honest: Honest, call: OperatorCall) -> Any:
    """The softmax runs over the chosen experts alone, as if renormalising were asked for."""
    return honest(_asked(call, renormalise=1))


@mutant(ROUTER, kills=("ROUTER-002", "ROUTER-005", "ROUTER-006"), bug="generic")
def never_renormalised(honest: Honest, call: OperatorCall) -> Any:
    """Weights are shares of all experts, where renormalising is asked for too."""
    return honest(_asked(call, renormalise=0))


@mutant(ROUTER, kills=("ROUTER-003", "ROUTER-004", "ROUTER-005", "ROUTER-006"), bug="generic")
def softmax_always_first(honest: Honest, call: OperatorCall) -> Any:
    """The softmax runs over all experts, where the choice is to come first too."""
    if _shares_first(call):
        return honest(call)
    return _answer(call, _softmax(_wide(call)[0]), honest(call)["indices"])


@mutant(ROUTER, kills=("ROUTER-005",), bug="sgl-project/sglang-jax#1282")
def scaled_where_renormalised(honest: Honest, call: OperatorCall) -> Any:
    """The scaling factor is applied where weights are renormalised, and nowhere else."""
    return honest(call if call.attributes["renormalise"] else _asked(call, scale=1.0))


@mutant(ROUTER, kills=("ROUTER-005",), bug="generic")
def scaled_before_renormalising(honest: Honest, call: OperatorCall) -> Any:
    """The scaling factor multiplies the shares before their sum divides it out again."""
    return honest(_asked(call, scale=1.0) if call.attributes["renormalise"] else call)


@mutant(ROUTER, kills=("ROUTER-005",), bug="generic")
def scale_not_passed(honest: Honest, call: OperatorCall) -> Any:
    """The scaling factor of the configuration does not reach the router."""
    return honest(_asked(call, scale=1.0))


@mutant(ROUTER, kills=("ROUTER-006",), bug="generic")
def bias_ignored(honest: Honest, call: OperatorCall) -> Any:
    """Experts are chosen by their scores without the bias."""
    none = np.zeros_like(call.inputs["selection_bias"])
    return honest(dataclasses.replace(call, inputs={**call.inputs, "selection_bias": none}))


@mutant(ROUTER, kills=("ROUTER-006",), bug="generic")
def bias_weighs_too(honest: Honest, call: OperatorCall) -> Any:
    """The scores that choose, the bias included, are the weights."""
    logits_NE, bias_E = _wide(call)
    if not bias_E.any():
        return honest(call)
    biased_NE = (_softmax(logits_NE) if _shares_first(call) else logits_NE) + bias_E
    return _answer(call, biased_NE, honest(call)["indices"])


@mutant(ROUTER, kills=("ROUTER-006",), bug="generic")
def bias_on_the_logits(honest: Honest, call: OperatorCall) -> Any:
    """The bias is added to the logits, and weighs in the softmax as well."""
    biased = (call.inputs["logits"] + call.inputs["selection_bias"]).astype(
        call.inputs["logits"].dtype
    )
    none = np.zeros_like(call.inputs["selection_bias"])
    return honest(dataclasses.replace(call, inputs={"logits": biased, "selection_bias": none}))


@mutant(ROUTER, kills=("ROUTER-004",), bug="generic")
def higher_index_wins_a_tie(honest: Honest, call: OperatorCall) -> Any:
    """Of equal scores the last is chosen first."""
    turned = {name: x[..., ::-1].copy() for name, x in call.inputs.items()}
    answer = honest(dataclasses.replace(call, inputs=turned))
    return {**answer, "indices": call.inputs["logits"].shape[-1] - 1 - answer["indices"]}


@mutant(ROUTER, kills=ALL, bug="generic")
def first_expert_never_chosen(honest: Honest, call: OperatorCall) -> Any:
    """The experts are counted from 1, so that the first is never chosen."""
    answer = honest(call)
    last = call.inputs["logits"].shape[-1] - 1
    return {**answer, "indices": np.minimum(answer["indices"] + 1, last)}


@mutant(ROUTER, kills=ALL, bug="generic")
def least_chosen_expert_first(honest: Honest, call: OperatorCall) -> Any:
    """The weights are those of the chosen experts in rising order, the indices in falling."""
    return _reweighed(honest(call), lambda weights_NC: weights_NC[:, ::-1])


@mutant(ROUTER, kills=("ROUTER-001", "ROUTER-005", "ROUTER-006"), bug="generic")
def softmax_over_tokens(honest: Honest, call: OperatorCall) -> Any:
    """The softmax runs over the tokens, not over the experts."""
    if not _shares_first(call) or call.attributes["renormalise"]:
        return honest(call)
    return _answer(call, _softmax(_wide(call)[0], axis=0), honest(call)["indices"])


@mutant(
    ROUTER, kills=ALL, bug="generic", equivalent_at={"bf16": "Weights are bfloat16 numbers there."}
)
def router_weights_in_bfloat16(honest: Honest, call: OperatorCall) -> Any:
    """The weights are numbers of 8 bits."""

    def cut(weights: Any) -> Any:
        return (weights.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)

    return _reweighed(honest(call), cut)


@mutant(
    ROUTER,
    bug="NVIDIA/TensorRT-LLM#2752",
    equivalent="The sum over all experts cancels: exp(x_j) / sum over the chosen of exp(x_k).",
)
def softmax_of_the_chosen(honest: Honest, call: OperatorCall) -> Any:
    """Where shares are renormalised, the softmax is taken over the chosen logits, in float32."""
    if not call.attributes["renormalise"]:
        return honest(call)
    answer = honest(call)
    logits_NE = call.inputs["logits"].astype(np.float32)
    weights_NC = _softmax(np.take_along_axis(logits_NE, answer["indices"], axis=-1))
    return _reweighed(answer, lambda _: weights_NC * np.float32(call.attributes["scale"]))


@mutant(
    ROUTER,
    bug="Lightning-AI/litgpt#2013",
    equivalent="The sum over all experts cancels: exp(x_j) / sum over the chosen of exp(x_k).",
)
def shares_of_all_renormalised(honest: Honest, call: OperatorCall) -> Any:
    """Where the choice comes first, shares of all experts are renormalised, in float32."""
    if _shares_first(call):
        return honest(call)
    answer = honest(call)
    shares_NE = _softmax(call.inputs["logits"].astype(np.float32))
    chosen_NC = np.take_along_axis(shares_NE, answer["indices"], axis=-1)
    weights_NC = chosen_NC / chosen_NC.sum(axis=-1, keepdims=True)
    return _reweighed(answer, lambda _: weights_NC * np.float32(call.attributes["scale"]))
