"""Faults of precision: one step is computed in a narrower type than the claim allows.

They have the sizes that silent conversions have: bfloat16 keeps 8 bits, float16 and TF32 keep 11.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._attention import attention, rounded
from conformance.mutants._calls import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

BF16, FP16 = "bfloat16", "float16"
RMS = ("NORM-001", "NORM-002", "NORM-003", "NORM-004")


@mutant(
    "build_decoder",
    kills=("LOGITS-001", "LOGITS-002", "PREC-001"),
    bug="generic",
    equivalent_at={"bf16": "Weights are bfloat16 numbers there."},
)
def weights_in_bfloat16(honest: Honest, *arguments: Any, **named: Any) -> Any:
    """Weights are rounded to bfloat16 when they are loaded."""
    decoder = honest(*arguments, **named)
    for parameter in decoder.parameters():
        parameter.copy_(rounded(parameter, BF16))
    return decoder


@mutant(
    "Block.forward",
    kills=("LOGITS-001", "LOGITS-002"),
    bug="generic",
    equivalent_at={"fp16": "The stream's numbers are float16 numbers there."},
    below_noise_at=("bf16",),
)
def stream_in_float16(honest: Honest, self: Any, x_BTD: Any, *others: Any) -> Any:
    """Blocks read the residual stream in float16."""
    return honest(self, rounded(x_BTD, FP16), *others)


@mutant(
    "RMSNorm.forward",
    kills=("LOGITS-001", "LOGITS-002"),
    bug="generic",
    equivalent_at={"bf16": "Normalised vectors are bfloat16 numbers there."},
)
def norm_in_bfloat16(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Normalised vectors are rounded to bfloat16."""
    return rounded(honest(self, x_BTD), BF16)


@mutant(
    "RMSNorm.forward", kills=("LOGITS-001", "LOGITS-002"), bug="generic", below_noise_at=("bf16",)
)
def norm_statistics_in_float16(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The mean of squares is a float16 number."""
    mean_square_BT1 = rounded((x_BTD * x_BTD).mean(-1, keepdim=True), FP16)
    return x_BTD / (mean_square_BT1 + self.eps).sqrt() * self.gain()


@mutant(
    "attend",
    kills=("LOGITS-001", "LOGITS-002"),
    bug="generic",
    equivalent_at={"bf16": "Products of queries and keys are bfloat16 numbers there."},
)
def scores_in_bfloat16(_: Honest, *inputs: Any) -> Any:
    """Attention scores are rounded to bfloat16 before the softmax."""
    return attention(inputs, scores=lambda scores_BHTS: rounded(scores_BHTS, BF16))


@mutant(
    "attend",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="ggml-org/llama.cpp#7805",
    equivalent_at={"fp16": "Products of queries and keys are float16 numbers there."},
    below_noise_at=("bf16",),
)
def scores_in_float16(_: Honest, *inputs: Any) -> Any:
    """Products of queries and keys are rounded to float16."""
    return attention(inputs, scores=lambda scores_BHTS: rounded(scores_BHTS, FP16))


@mutant(
    "attend",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
    equivalent_at={"fp16": "Probabilities are float16 numbers there."},
    below_noise_at=("bf16",),
)
def probabilities_in_float16(_: Honest, *inputs: Any) -> Any:
    """Attention probabilities are rounded to float16 before they weigh the values."""
    return attention(inputs, weights=lambda weights_BHTS: rounded(weights_BHTS, FP16))


@mutant(
    "attend",
    kills=("LOGITS-001", "LOGITS-002"),
    bug="ggml-org/llama.cpp#13975",
    equivalent_at={"fp16": "Weighted values are float16 numbers there."},
    below_noise_at=("bf16",),
)
def values_added_up_in_float16(honest: Honest, *inputs: Any) -> Any:
    """Weighted values are rounded to float16 when they have been added up."""
    return rounded(honest(*inputs), FP16)


@mutant(
    "extend",
    kills=("CACHE-001",),
    bug="generic",
    equivalent_at={"bf16": "Keys and values are bfloat16 numbers there."},
)
def cache_in_bfloat16(honest: Honest, past: Any, *new: Any) -> Any:
    """Keys and values are rounded to bfloat16 when they go into the cache."""
    return honest(past, *(rounded(x, BF16) for x in new))


@mutant(
    "silu",
    kills=("LOGITS-001", "LOGITS-002"),
    bug="generic",
    equivalent_at={"fp16": "The activation's numbers are float16 numbers there."},
    below_noise_at=("bf16",),
)
def activation_in_float16(honest: Honest, x: Any) -> Any:
    """The activation is rounded to float16."""
    return rounded(honest(x), FP16)


@mutant(
    "Decoder.head",
    kills=("LOGITS-001", "LOGITS-002"),
    bug="generic",
    equivalent_at={
        "bf16": "A bfloat16 number has 8 bits, and TF32 keeps 11.",
        "fp16": "A float16 number has 11 bits, and TF32 keeps them.",
    },
)
def head_in_tf32(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The head reads its input as TF32 does, with 11 bits."""
    import torch  # noqa: PLC0415  # this module is imported where torch is not

    kept = x_BTD.float().contiguous().view(torch.int32) & ~0x1FFF
    return honest(self, kept.view(torch.float32).to(x_BTD.dtype))


@mutant(
    "Decoder.head",
    kills=("LOGITS-001", "LOGITS-002"),
    bug="huggingface/transformers#29285",
    equivalent_at={"bf16": "Logits are bfloat16 numbers there."},
)
def logits_in_bfloat16(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Logits are bfloat16 numbers that are answered as float32."""
    return rounded(honest(self, x_BTD), BF16)


def _narrow(honest: Honest, call: OperatorCall, *names: str) -> Any:
    """Compute with some inputs rounded to float16."""
    with np.errstate(over="ignore"):
        narrow = {n: call.inputs[n].astype(np.float16).astype(call.inputs[n].dtype) for n in names}
    return honest(dataclasses.replace(call, inputs={**call.inputs, **narrow}))


def _answered(honest: Honest, call: OperatorCall) -> Any:
    """Round the outputs to float16."""
    return {name: y.astype(np.float16).astype(y.dtype) for name, y in honest(call).items()}


@mutant(
    "operator Gather",
    kills=("EMBED-001", "EMBED-002"),
    bug="generic",
    equivalent_at={"fp16": "The table's numbers are float16 numbers there."},
)
def rows_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The table is kept in float16."""
    return _narrow(honest, call, "data")


@mutant("operator RMSNormalization", kills=RMS, bug="generic")
def squares_in_float16(_: Honest, call: OperatorCall) -> Any:
    """Squares are float16 numbers, which overflow from 256 on and vanish below 0.0002."""
    x = call.inputs["X"]
    with np.errstate(over="ignore", under="ignore"):
        squares = np.square(x.astype(np.float16)).astype(x.dtype)
    root = np.sqrt(squares.mean(axis=-1, keepdims=True) + call.attributes["epsilon"])
    return {"Y": (x / root * call.inputs["scale"]).astype(x.dtype)}


@mutant(
    "operator Attention",
    kills=ids("ATTN", 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 22),
    bug="ggml-org/llama.cpp#7805",
    equivalent_at={"fp16": "Queries are float16 numbers there."},
    below_noise_at=("bf16",),
)
def queries_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """Queries are rounded to float16 before they meet the keys."""
    return _narrow(honest, call, "Q")


@mutant(
    "operator Softmax",
    kills=ids("SOFTMAX", 1, 2, 4, 5),
    bug="generic",
    equivalent_at={"fp16": "Probabilities are float16 numbers there."},
)
def softmax_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """Probabilities are float16 numbers."""
    return _answered(honest, call)


@mutant(
    "operator LogSoftmax",
    kills=("SOFTMAX-003", "SOFTMAX-006", "SOFTMAX-007"),
    bug="generic",
    equivalent_at={"fp16": "Log-probabilities are float16 numbers there."},
)
def log_softmax_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """Log-probabilities are float16 numbers."""
    return _answered(honest, call)


@mutant(
    "operator Swish",
    kills=("MLP-001", "ACT-006"),
    bug="generic",
    equivalent_at={"fp16": "SiLU answers float16 numbers there."},
    below_noise_at=("bf16",),
)
def silu_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """SiLU is a float16 number."""
    return _answered(honest, call)


@mutant(
    "operator SoftmaxCrossEntropyLoss",
    kills=ids("LOSS", 1, 2, 3, 4, 5),
    bug="huggingface/transformers#29285",
    equivalent_at={"fp16": "Scores are float16 numbers there."},
    below_noise_at=("bf16",),
)
def scores_of_the_loss_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """Scores are not widened before the loss, but read in float16."""
    return _narrow(honest, call, "scores")
