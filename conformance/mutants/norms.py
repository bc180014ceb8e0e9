"""Faults of RMSNorm, and of where a block applies it.

B batch, T tokens, D model.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]


def _norm(config: Any, eps: float) -> Any:
    return dataclasses.replace(config, norm=dataclasses.replace(config.norm, eps=eps))


@mutant("config", kills=("LOGITS-001",), bug="generic")
def norm_epsilon_1e_6(config: Any) -> Any:
    """The norms' epsilon is a tenth of the checkpoint's: 1e-6 for 1e-5."""
    return _norm(config, config.norm.eps / 10)


@mutant("config", kills=("LOGITS-001",), bug="generic")
def norm_epsilon_hard_coded(config: Any) -> Any:
    """The norms' epsilon is 1e-5, whatever the checkpoint says."""
    return _norm(config, 1e-5)


@mutant("config", kills=("LOGITS-001",), bug="generic")
def norm_epsilon_missing(config: Any) -> Any:
    """The norms have no epsilon but one that keeps 0 / 0 away."""
    return _norm(config, 1e-30)


@mutant("RMSNorm.forward", kills=("LOGITS-001",), bug="generic")
def norm_epsilon_outside_the_root(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The norms add epsilon to the root of the mean square."""
    root_BT1 = (x_BTD * x_BTD).mean(-1, keepdim=True).sqrt()
    return x_BTD / (root_BT1 + self.eps) * self.weight


@mutant("RMSNorm.forward", kills=("LOGITS-001", "LOGITS-002"), bug="linkedin/Liger-Kernel#74")
def norm_weight_plus_one(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The norms multiply by one plus the weight, as Gemma's do."""
    return honest(self, x_BTD) * (1 + 1 / self.weight)


@mutant("RMSNorm.forward", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def norm_weight_ignored(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The norms do not multiply by the weight."""
    return honest(self, x_BTD) / self.weight


@mutant("RMSNorm.forward", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def norm_subtracts_the_mean(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The norms subtract the mean first, as LayerNorm does."""
    return honest(self, x_BTD - x_BTD.mean(-1, keepdim=True))


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="ggml-org/llama.cpp#8197")
def final_norm_missing(honest: Honest, *arguments: Any, **named: Any) -> Any:
    """The stream goes to the head without the final norm."""
    from torch import nn  # noqa: PLC0415  # this module is imported where torch is not

    decoder = honest(*arguments, **named)
    decoder.model.norm = nn.Identity()
    return decoder


@mutant("Block.forward", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def blocks_in_parallel(honest: Honest, self: Any, x_BTD: Any, *others: Any) -> Any:
    """The feed-forward reads the stream as it was before attention."""
    attention_BTD, _, cache = honest(self, x_BTD, *others)
    return attention_BTD, self.mlp(self.post_attention_layernorm(x_BTD)), cache


@mutant("Block.forward", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def feed_forward_without_its_norm(honest: Honest, self: Any, x_BTD: Any, *others: Any) -> Any:
    """The feed-forward reads the stream unnormalised."""
    attention_BTD, _, cache = honest(self, x_BTD, *others)
    return attention_BTD, self.mlp(x_BTD + attention_BTD), cache


@mutant("operator RMSNormalization", kills=("NORM-001",), bug="generic")
def epsilon_ignored(honest: Honest, call: OperatorCall) -> Any:
    """The epsilon that the call gives is ignored, and the default 1e-5 taken."""
    attributes = {key: value for key, value in call.attributes.items() if key != "epsilon"}
    return honest(dataclasses.replace(call, attributes=attributes))


def _normalised(call: OperatorCall, root: Any, x: Any = None) -> Any:
    x = call.inputs["X"] if x is None else x
    with np.errstate(divide="ignore", invalid="ignore"):
        y = x / root * call.inputs["scale"]
    return {"Y": y.astype(call.inputs["X"].dtype)}


@mutant("operator RMSNormalization", kills=("NORM-001",), bug="generic")
def epsilon_outside_the_root(_: Honest, call: OperatorCall) -> Any:
    """Epsilon is added to the root of the mean square."""
    x = call.inputs["X"].astype(np.float64)
    root = np.sqrt(np.mean(x * x, axis=-1, keepdims=True))
    return _normalised(call, root + call.attributes["epsilon"])


@mutant("operator RMSNormalization", kills=("NORM-001",), bug="generic")
def mean_over_one_less(_: Honest, call: OperatorCall) -> Any:
    """The sum of squares is divided by D - 1, as in a sample's variance."""
    x = call.inputs["X"].astype(np.float64)
    count = max(1, x.shape[-1] - 1)
    mean = np.sum(x * x, axis=-1, keepdims=True) / count
    return _normalised(call, np.sqrt(mean + call.attributes["epsilon"]))


@mutant("operator RMSNormalization", kills=("NORM-001",), bug="generic")
def mean_subtracted(_: Honest, call: OperatorCall) -> Any:
    """The mean is subtracted first, as LayerNorm does."""
    x = call.inputs["X"].astype(np.float64)
    x = x - x.mean(axis=-1, keepdims=True)
    mean = np.mean(x * x, axis=-1, keepdims=True)
    return _normalised(call, np.sqrt(mean + call.attributes["epsilon"]), x)


@mutant("operator RMSNormalization", kills=("NORM-001",), bug="linkedin/Liger-Kernel#74")
def weight_plus_one(honest: Honest, call: OperatorCall) -> Any:
    """The weight is one plus what the call gives, as Gemma's is."""
    weight = call.inputs["scale"]
    inputs = {**call.inputs, "scale": (weight + 1).astype(weight.dtype)}
    return honest(dataclasses.replace(call, inputs=inputs))
