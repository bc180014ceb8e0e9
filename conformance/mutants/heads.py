"""Faults of attention's heads, scale and softmax.

B batch, H query heads, G key/value heads, T queries, S keys, K head dim.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._attention import attention
from conformance.mutants._calls import POSITIONS, ahead, ids, seen, under

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]


@mutant(
    "attend",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def attention_scale_missing(honest: Honest, q_BHTK: Any, *others: Any) -> Any:
    """Scores are not divided by the root of the head dim."""
    return honest(q_BHTK * math.sqrt(q_BHTK.shape[-1]), *others)


@mutant("attend", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def attention_scaled_twice(honest: Honest, q_BHTK: Any, *others: Any) -> Any:
    """Queries are divided by the root of the head dim, and then the scores again."""
    return honest(q_BHTK / math.sqrt(q_BHTK.shape[-1]), *others)


@mutant(
    "attend",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def attention_scale_of_one_more(honest: Honest, q_BHTK: Any, *others: Any) -> Any:
    """Scores are divided by the root of the head dim plus one."""
    dim = q_BHTK.shape[-1]
    return honest(q_BHTK * math.sqrt(dim / (dim + 1)), *others)


@mutant("attend", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def attention_scale_of_all_heads(honest: Honest, q_BHTK: Any, *others: Any) -> Any:
    """Scores are divided by the root of all heads' dims together."""
    return honest(q_BHTK / math.sqrt(q_BHTK.shape[1]), *others)


@mutant("attend", kills=("LOGITS-001",), bug="generic")
def scores_capped(_: Honest, *inputs: Any) -> Any:
    """Scores are capped softly at 50, though no cap is asked for."""
    return attention(inputs, scores=lambda scores_BHTS: 50 * (scores_BHTS / 50).tanh())


@mutant("attend", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def softmax_over_queries(_: Honest, *inputs: Any) -> Any:
    """The softmax of the scores runs over the queries."""
    return attention(inputs, softmax=lambda scores_BHTS: scores_BHTS.softmax(-2))


@mutant("attend", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def softmax_with_a_sink(_: Honest, *inputs: Any) -> Any:
    """The softmax of the scores has one more term, exp(0), in its denominator."""

    def softmax(scores_BHTS: Any) -> Any:
        sink_BHT1 = scores_BHTS.new_zeros((*scores_BHTS.shape[:-1], 1))
        import torch  # noqa: PLC0415  # this module is imported where torch is not

        return torch.cat((scores_BHTS, sink_BHT1), dim=-1).softmax(-1)[..., :-1]

    return attention(inputs, softmax=softmax)


@mutant("attend", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def online_softmax_without_rescaling(_: Honest, *inputs: Any) -> Any:
    """Blocks of 16 keys are added up without rescaling to the maximum that grew meanwhile."""

    def softmax(scores_BHTS: Any) -> Any:
        highest_BHT1, total_BHT1, parts = None, 0, []
        for block in scores_BHTS.split(16, dim=-1):
            own_BHT1 = block.amax(-1, keepdim=True)
            highest_BHT1 = own_BHT1 if highest_BHT1 is None else highest_BHT1.maximum(own_BHT1)
            parts.append((block - highest_BHT1).exp())
            total_BHT1 = total_BHT1 + parts[-1].sum(-1, keepdim=True)
        import torch  # noqa: PLC0415  # this module is imported where torch is not

        return torch.cat(parts, dim=-1) / total_BHT1

    return attention(inputs, softmax=softmax)


@mutant("attend", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def keys_and_values_swapped_in_one_head(
    honest: Honest, q_BHTK: Any, k_BHSK: Any, v_BHSK: Any, *others: Any
) -> Any:
    """The first head takes its values for keys, and its keys for values."""
    swapped_k, swapped_v = k_BHSK.clone(), v_BHSK.clone()
    swapped_k[:, 0], swapped_v[:, 0] = v_BHSK[:, 0], k_BHSK[:, 0]
    return honest(q_BHTK, swapped_k, swapped_v, *others)


@mutant("attend", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def heads_joined_without_transposing(honest: Honest, *inputs: Any) -> Any:
    """The heads' outputs (B, H, T, K) are read as if they were (B, T, H, K)."""
    out_BHTK = honest(*inputs)
    batch, heads, tokens, dim = out_BHTK.shape
    return out_BHTK.reshape(batch, tokens, heads, dim).transpose(1, 2)


@mutant(
    "repeat_heads",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="onnx/onnx#7274",
)
def key_value_heads_tiled(_: Honest, x_BGSK: Any, heads: int) -> Any:
    """The row of key/value heads is tiled (0 1 0 1), where each is repeated in place (0 0 1 1)."""
    return x_BGSK.repeat(1, heads // x_BGSK.shape[1], 1, 1)


@mutant(
    "repeat_heads",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="vllm-project/vllm#52516",
)
def key_value_heads_of_the_first_shard(honest: Honest, x_BGSK: Any, heads: int) -> Any:
    """The second of two shards reads the key/value heads of the first."""
    repeated_BHSK = honest(x_BGSK, heads)
    half = repeated_BHSK[:, : heads // 2]
    return half.repeat(1, 2, 1, 1) if heads % 2 == 0 else repeated_BHSK


@mutant(
    "repeat_heads",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def one_key_value_head_for_all(_: Honest, x_BGSK: Any, heads: int) -> Any:
    """All query heads read the first key/value head."""
    return x_BGSK[:, :1].expand(-1, heads, -1, -1)


@mutant(
    "operator Attention",
    kills=ids("ATTN", 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 22),
    bug="generic",
)
def scale_missing(honest: Honest, call: OperatorCall) -> Any:
    """Scores are not scaled unless the call gives a scale."""
    return honest(dataclasses.replace(call, attributes={"scale": 1.0, **call.attributes}))


@mutant("operator Attention", kills=("ATTN-002", "EQUIV-007"), bug="ggml-org/llama.cpp#8197")
def given_scale_ignored(honest: Honest, call: OperatorCall) -> Any:
    """The scale that the call gives is ignored, and the default taken."""
    attributes = {key: value for key, value in call.attributes.items() if key != "scale"}
    return honest(dataclasses.replace(call, attributes=attributes))


@mutant(
    "operator Attention",
    kills=ids("ATTN", 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 22),
    bug="generic",
)
def scale_of_one_more(honest: Honest, call: OperatorCall) -> Any:
    """The default scale is 1 / sqrt(head dim + 1)."""
    default = 1 / math.sqrt(call.inputs["Q"].shape[-1] + 1)
    return honest(dataclasses.replace(call, attributes={"scale": default, **call.attributes}))


def _with_heads(honest: Honest, call: OperatorCall, change: Callable[[Any], Any]) -> Any:
    """Compute Y from other key/value heads; inputs of three dimensions are left alone."""
    answer = honest(call)
    if call.inputs["Q"].ndim == 4:
        names = [name for name in ("K", "V", "past_key", "past_value") if name in call.inputs]
        inputs = {**call.inputs, **{name: change(call.inputs[name]) for name in names}}
        answer["Y"] = honest(dataclasses.replace(call, inputs=inputs, outputs=("Y",)))["Y"]
    return answer


@mutant(
    "operator Attention", kills=ids("ATTN", 3, 5, 7, 9, 10, 11, 14, 18, 22), bug="onnx/onnx#7274"
)
def operator_heads_tiled(honest: Honest, call: OperatorCall) -> Any:
    """Query head h reads key/value head h modulo their number."""
    heads = call.inputs["Q"].shape[1]
    return _with_heads(
        honest, call, lambda x_BGSK: np.tile(x_BGSK, (1, heads // x_BGSK.shape[1], 1, 1))
    )


@mutant(
    "operator Attention",
    kills=ids("ATTN", 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 18, 19, 22),
    bug="vllm-project/vllm#52516",
)
def operator_heads_of_the_first_shard(honest: Honest, call: OperatorCall) -> Any:
    """All query heads read the first key/value head."""
    return _with_heads(honest, call, lambda x_BGSK: x_BGSK[:, :1].copy())


@mutant("operator Attention", kills=ids("ATTN", 2, 3, 7, 9, 10, 11, 16, 17, 18, 22), bug="generic")
def last_key_dropped(honest: Honest, call: OperatorCall) -> Any:
    """The last key and value are left out, unless there is a mask or but one key."""
    visible = seen(call, ahead(call))
    if (
        visible.shape[-1] == 1
        or "attn_mask" in call.inputs
        or any(call.attributes.get(name) for name in POSITIONS)
    ):
        return honest(call)
    visible[:, -1] = False
    return under(honest, call, visible)
