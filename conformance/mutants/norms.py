"""Faults of RMSNorm and LayerNorm, and of where a block applies them.

B batch, T tokens, D model.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]


def _norm(config: Any, eps: float) -> Any:
    return dataclasses.replace(config, norm=dataclasses.replace(config.norm, eps=eps))


@mutant(
    "config",
    kills=("LOGITS-001", "FAULT-001", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def norm_epsilon_1e_6(config: Any) -> Any:
    """The norms' epsilon is a tenth of the checkpoint's: 1e-6 for 1e-5."""
    return _norm(config, config.norm.eps / 10)


@mutant("config", kills=("LOGITS-001", "CLOSED-001", "CLOSED-002", "CLOSED-003"), bug="generic")
def norm_epsilon_hard_coded(config: Any) -> Any:
    """The norms' epsilon is 1e-5, whatever the checkpoint says."""
    return _norm(config, 1e-5)


@mutant("config", kills=("LOGITS-001", "CLOSED-001", "CLOSED-002", "CLOSED-003"), bug="generic")
def norm_epsilon_missing(config: Any) -> Any:
    """The norms have no epsilon but one that keeps 0 / 0 away."""
    return _norm(config, 1e-30)


@mutant(
    "RMSNorm.forward", kills=("LOGITS-001", "CLOSED-001", "CLOSED-002", "CLOSED-003"), bug="generic"
)
def norm_epsilon_outside_the_root(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The norms add epsilon to the root of the mean square."""
    root_BT1 = (x_BTD * x_BTD).mean(-1, keepdim=True).sqrt()
    return x_BTD / (root_BT1 + self.eps) * self.gain()


@mutant("RMSNorm.forward", kills=("LOGITS-001", "LOGITS-002"), bug="linkedin/Liger-Kernel#74")
def norm_weight_plus_one(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The norms multiply by one plus the weight, as Gemma's do."""
    return honest(self, x_BTD) * (1 + 1 / self.gain())


@mutant("RMSNorm.forward", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def norm_weight_ignored(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The norms do not multiply by the weight."""
    return honest(self, x_BTD) / self.gain()


@mutant(
    "RMSNorm.forward", kills=("LOGITS-001", "LOGITS-002", "TAP-001", "EQUIV-005"), bug="generic"
)
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


RMS = ("NORM-001", "NORM-002", "NORM-003", "NORM-004")


@mutant("operator RMSNormalization", kills=("NORM-001", "NORM-003", "EQUIV-010"), bug="generic")
def epsilon_ignored(honest: Honest, call: OperatorCall) -> Any:
    """The epsilon that the call gives is ignored, and the default 1e-5 taken."""
    attributes = {key: value for key, value in call.attributes.items() if key != "epsilon"}
    return honest(dataclasses.replace(call, attributes=attributes))


def _normalised(call: OperatorCall, root: Any, x: Any = None) -> Any:
    x = call.inputs["X"] if x is None else x
    with np.errstate(divide="ignore", invalid="ignore"):
        y = x / root * call.inputs["scale"]
    return {"Y": y.astype(call.inputs["X"].dtype)}


@mutant("operator RMSNormalization", kills=("NORM-001", "NORM-003", "NORM-004"), bug="generic")
def epsilon_outside_the_root(_: Honest, call: OperatorCall) -> Any:
    """Epsilon is added to the root of the mean square."""
    x = call.inputs["X"].astype(np.float64)
    root = np.sqrt(np.mean(x * x, axis=-1, keepdims=True))
    return _normalised(call, root + call.attributes["epsilon"])


@mutant("operator RMSNormalization", kills=RMS, bug="generic")
def mean_over_one_less(_: Honest, call: OperatorCall) -> Any:
    """The sum of squares is divided by D - 1, as in a sample's variance."""
    x = call.inputs["X"].astype(np.float64)
    count = max(1, x.shape[-1] - 1)
    mean = np.sum(x * x, axis=-1, keepdims=True) / count
    return _normalised(call, np.sqrt(mean + call.attributes["epsilon"]))


@mutant("operator RMSNormalization", kills=RMS, bug="generic")
def mean_subtracted(_: Honest, call: OperatorCall) -> Any:
    """The mean is subtracted first, as LayerNorm does."""
    x = call.inputs["X"].astype(np.float64)
    x = x - x.mean(axis=-1, keepdims=True)
    mean = np.mean(x * x, axis=-1, keepdims=True)
    return _normalised(call, np.sqrt(mean + call.attributes["epsilon"]), x)


@mutant("operator RMSNormalization", kills=RMS, bug="linkedin/Liger-Kernel#74")
def weight_plus_one(honest: Honest, call: OperatorCall) -> Any:
    """The weight is one plus what the call gives, as Gemma's is."""
    weight = call.inputs["scale"]
    inputs = {**call.inputs, "scale": (weight + 1).astype(weight.dtype)}
    return honest(dataclasses.replace(call, inputs=inputs))


@mutant("operator RMSNormalization", kills=("NORM-001", "NORM-003", "NORM-004"), bug="generic")
def epsilon_missing(_: Honest, call: OperatorCall) -> Any:
    """There is no epsilon."""
    x = call.inputs["X"].astype(np.float64)
    return _normalised(call, np.sqrt(np.mean(x * x, axis=_axes(call), keepdims=True)))


def _axes(call: OperatorCall) -> tuple[int, ...]:
    """Return the axes that are normalised."""
    count = call.inputs["X"].ndim
    return tuple(range(call.attributes.get("axis", -1) % count, count))


@mutant("operator RMSNormalization", kills=("NORM-004",), bug="generic")
def last_axis_alone(honest: Honest, call: OperatorCall) -> Any:
    """The mean is taken over the last axis, whatever axis is given."""
    x, scale = call.inputs["X"], call.inputs["scale"]
    ones = np.ones(x.shape[-1:], x.dtype)
    attributes = {**call.attributes, "axis": -1}
    inputs = {"X": x, "scale": ones}
    y = honest(dataclasses.replace(call, inputs=inputs, attributes=attributes))["Y"]
    return {"Y": (y.astype(np.float64) * scale.astype(np.float64)).astype(y.dtype)}


@mutant(
    "operator RMSNormalization",
    kills=RMS,
    bug="huggingface/transformers#29402",
    below_noise_at=("fp16",),
)
def normal_rows_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """Rows are cast to float16 before the scale, in wider types too."""
    ones = np.ones_like(call.inputs["scale"])
    y = honest(dataclasses.replace(call, inputs={**call.inputs, "scale": ones}))["Y"]
    normal = y.astype(np.float16).astype(np.float64)
    return {"Y": (normal * call.inputs["scale"].astype(np.float64)).astype(y.dtype)}


OFFSET = "operator OffsetRMSNormalization"


def _offset(call: OperatorCall, factor: Any, narrow: Any = np.float64) -> Any:
    """Return rows over their root mean square, rounded to a type, times a factor."""
    x = call.inputs["X"].astype(np.float64)
    root = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + call.attributes["epsilon"])
    normal = (x / root).astype(narrow).astype(np.float64)
    return {"Y": (normal * factor).astype(call.inputs["X"].dtype)}


@mutant(OFFSET, kills=("NORM-005",), bug="linkedin/Liger-Kernel#74")
def offset_omitted(_: Honest, call: OperatorCall) -> Any:
    """Rows are scaled by the weight alone, as Llama's are."""
    return _offset(call, call.inputs["scale"].astype(np.float64))


@mutant(
    OFFSET,
    kills=("NORM-005",),
    bug="huggingface/transformers#29402",
    below_noise_at=("bf16", "fp16"),
)
def cast_before_the_offset_scale(_: Honest, call: OperatorCall) -> Any:
    """Rows are cast to a type of 16 bits before they are scaled, as Llama's are."""
    dtype = call.inputs["X"].dtype
    narrow = dtype if dtype.itemsize == 2 else ml_dtypes.bfloat16
    return _offset(call, 1 + call.inputs["scale"].astype(np.float64), narrow)


@mutant(OFFSET, kills=("NORM-005",), bug="generic", below_noise_at=("bf16",))
def offset_added_in_bfloat16(_: Honest, call: OperatorCall) -> Any:
    """One plus the weight is rounded to bfloat16, which loses small weights."""
    factor = (1 + call.inputs["scale"].astype(np.float64)).astype(ml_dtypes.bfloat16)
    return _offset(call, factor.astype(np.float64))


@mutant(OFFSET, kills=("NORM-005",), bug="generic")
def offset_epsilon_1e_5(_: Honest, call: OperatorCall) -> Any:
    """Epsilon is 1e-5, whatever the call gives."""
    attributes = {**call.attributes, "epsilon": 1e-5}
    call = dataclasses.replace(call, attributes=attributes)
    return _offset(call, 1 + call.inputs["scale"].astype(np.float64))


LAYER = "operator LayerNormalization"


def _layer(call: OperatorCall, mean: Any, deviation: Any) -> Any:
    """Return LayerNorm with another mean or deviation, (N, 1) each, rounded once."""
    x, scale = call.inputs["X"].astype(np.float64), call.inputs["Scale"].astype(np.float64)
    bias = call.inputs.get("B", np.zeros(())).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"Y": ((x - mean) / deviation * scale + bias).astype(call.inputs["X"].dtype)}


def _moments(call: OperatorCall, dtype: Any = np.float64) -> tuple[Any, Any, float]:
    """Return mean and mean square of each row, (N, 1), and epsilon."""
    x = call.inputs["X"].astype(dtype)
    mean, square = (np.mean(t, axis=-1, keepdims=True) for t in (x, x * x))
    return mean, square, call.attributes["epsilon"]


@mutant(LAYER, kills=("NORM-006", "NORM-007", "NORM-008"), bug="generic")
def layer_norm_without_the_mean(_: Honest, call: OperatorCall) -> Any:
    """The mean is not subtracted, as in RMSNorm."""
    _, square, epsilon = _moments(call)
    return _layer(call, 0, np.sqrt(square + epsilon))


@mutant(LAYER, kills=("NORM-006", "NORM-007", "NORM-008"), bug="generic")
def layer_norm_without_the_bias(honest: Honest, call: OperatorCall) -> Any:
    """The bias is not added."""
    inputs = {name: x for name, x in call.inputs.items() if name != "B"}
    return honest(dataclasses.replace(call, inputs=inputs))


@mutant(LAYER, kills=("NORM-006", "NORM-007"), bug="generic")
def variance_over_one_less(_: Honest, call: OperatorCall) -> Any:
    """The variance is a sample's: squares are divided by D - 1."""
    x, epsilon = call.inputs["X"].astype(np.float64), call.attributes["epsilon"]
    variance = x.var(axis=-1, keepdims=True, ddof=min(1, x.shape[-1] - 1))
    return _layer(call, x.mean(axis=-1, keepdims=True), np.sqrt(variance + epsilon))


@mutant(LAYER, kills=("NORM-006",), bug="generic")
def layer_norm_epsilon_outside_the_root(_: Honest, call: OperatorCall) -> Any:
    """Epsilon is added to the standard deviation."""
    x, epsilon = call.inputs["X"].astype(np.float64), call.attributes["epsilon"]
    deviation = x.std(axis=-1, keepdims=True)
    return _layer(call, x.mean(axis=-1, keepdims=True), deviation + epsilon)


@mutant(LAYER, kills=("NORM-007", "NORM-008"), bug="pytorch/pytorch#51102")
def variance_in_one_pass(_: Honest, call: OperatorCall) -> Any:
    """The variance is the mean square less the squared mean, in float32."""
    mean, square, epsilon = _moments(call, np.float32)
    with np.errstate(invalid="ignore"):
        return _layer(call, mean, np.sqrt(square - mean * mean + np.float32(epsilon)))


@mutant(LAYER, kills=("NORM-006", "NORM-008"), bug="microsoft/onnxruntime#21935")
def layer_norm_without_epsilon(_: Honest, call: OperatorCall) -> Any:
    """There is no epsilon, so that rows of equal values become NaN."""
    x = call.inputs["X"].astype(np.float64)
    return _layer(call, x.mean(axis=-1, keepdims=True), x.std(axis=-1, keepdims=True))
