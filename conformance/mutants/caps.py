"""Faults of what Gemma has: caps, a scale of its own, norms behind, a scaled embedding, GELU.

A model without them has no place for these. H heads, T queries, S keys.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import (
    EVERYWHERE,
    at_least_float32,
    attention,
    rounded,
    with_attention,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("config", kills=EVERYWHERE, bug="ggml-org/llama.cpp#8197")
def cap_of_scores_dropped(config: Any) -> Any:
    """Attention scores are not capped, though the checkpoint asks for it."""
    return with_attention(config, softcap=None)


@mutant("attend", kills=EVERYWHERE, bug="microsoft/onnxruntime#28370")
def cap_of_scores_after_the_mask(honest: Honest, *inputs: Any) -> Any:
    """Scores are capped when keys are hidden already, so that hidden ones get a score of -cap."""
    cap = inputs[4].softcap
    return honest(*inputs) if cap is None else attention(inputs, hidden=-cap)


@mutant("config", kills=("LOGITS-001", "LOGITS-002", "LOGITS-005"), bug="ggml-org/llama.cpp#8197")
def cap_of_logits_dropped(config: Any) -> Any:
    """Logits are not capped, though the checkpoint asks for it."""
    return dataclasses.replace(config, logit_softcap=None)


@mutant("config", kills=EVERYWHERE, bug="ggml-org/llama.cpp#8183")
def query_scalar_ignored(config: Any) -> Any:
    """Scores are divided by the root of the head dim, where the checkpoint names another number."""
    return with_attention(config, query_scalar=None)


@mutant("config", kills=EVERYWHERE, bug="linkedin/Liger-Kernel#74")
def norm_offset_omitted(config: Any) -> Any:
    """The norms multiply by the weight, where it is one less than the factor."""
    return dataclasses.replace(config, norm=dataclasses.replace(config.norm, offset=0.0))


@mutant(
    "RMSNorm.forward",
    kills=EVERYWHERE,
    bug="vllm-project/vllm#3653",
    below_noise_at=("bf16",),
)
def norm_cast_before_its_offset_weight(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Norms of 1 + weight cast to the 16 bits of their weights before they scale, as Llama's do."""
    if not self.wide:
        return honest(self, x_BTD)
    wide_BTD = x_BTD.to(at_least_float32(x_BTD.dtype))
    root_BT1 = ((wide_BTD * wide_BTD).mean(-1, keepdim=True) + self.eps).sqrt()
    narrow_BTD = rounded(wide_BTD / root_BT1, "bfloat16")
    return (narrow_BTD * self.gain()).to(x_BTD.dtype)


@mutant("build_decoder", kills=EVERYWHERE, bug="generic")
def norms_behind_left_out(honest: Honest, *arguments: Any, **named: Any) -> Any:
    """What attention and feed-forward add is not normalised."""
    from torch import nn  # noqa: PLC0415  # this module is imported where torch is not

    decoder = honest(*arguments, **named)
    for block in decoder.model.layers:
        if block.sandwich:
            block.post_attention_layernorm = nn.Identity()
            block.post_feedforward_layernorm = nn.Identity()
    return decoder


@mutant("config", kills=EVERYWHERE, bug="generic")
def embedding_scale_missing(config: Any) -> Any:
    """Embeddings are not scaled, though the family does it."""
    return dataclasses.replace(config, embedding_scale=1.0)


@mutant(
    "config",
    kills=EVERYWHERE,
    bug="unsloth.ai/blog/gemma-bugs",
    equivalent_at={"bf16": "The factor is a number of the embedding's type, which is this one."},
    below_noise_at=("fp16",),
)
def embedding_scale_in_bfloat16(config: Any) -> Any:
    """The embedding's factor is rounded to bfloat16: 9.8125 for the root of 96."""
    import torch  # noqa: PLC0415  # this module is imported where torch is not

    narrow = torch.tensor(config.embedding_scale).bfloat16().item()
    return dataclasses.replace(config, embedding_scale=narrow)


@mutant(
    "gelu_tanh",
    kills=EVERYWHERE,
    bug="ml-explore/mlx-examples#1057",
    below_noise_at=("fp16", "bf16"),
)
def gate_by_gelu_of_erf(_: Honest, x: Any) -> Any:
    """GELU is the exact one, by erf, where its approximation by tanh is meant."""
    from torch.nn import functional  # noqa: PLC0415  # this module is imported where torch is not

    return functional.gelu(x)
