"""Attention with sinks and with linear biases, by the standard's Attention and an additive mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._alibi import slopes

if TYPE_CHECKING:
    from collections.abc import Mapping

    Attributes = Mapping[str, Any]


def _scale(attributes: Attributes) -> str:
    scale = attributes.get("scale")
    return "" if scale is None else f" <scale: float = {float(scale)!r}>"


def _with_sinks(attributes: Attributes) -> str:
    """Return nodes in which a sink is one more key: all zeros, its logit in the mask, no value."""
    return f"""
        zero_f = Constant <value: tensor = float[1] {{0}}> ()
        infinity_f = Constant <value: tensor = float[1] {{-inf}}> ()
        zero = CastLike (zero_f, Q)
        infinity = CastLike (infinity_f, Q)
        one_more = Constant <value_ints: ints = [0, 0, 0, 0, 0, 0, 1, 0]> ()
        keys = Pad (K, one_more)
        values = Pad (V, one_more)
        heads = Shape <start: int = 1, end: int = 2> (Q)
        one = Constant <value_ints: ints = [1]> ()
        column = Concat <axis: int = 0> (one, heads, one, one)
        sinks_H11 = Reshape (sinks, column)
        bias_TS = Where (attn_mask, zero, infinity)
        bias_HTS = Expand (bias_TS, column)
        lead = Shape <start: int = 0, end: int = 3> (bias_HTS)
        lead_1 = Concat <axis: int = 0> (lead, one)
        sinks_HT1 = Expand (sinks_H11, lead_1)
        bias = Concat <axis: int = -1> (bias_HTS, sinks_HT1)
        Y = Attention{_scale(attributes)} (Q, keys, values, bias)
    """


def _with_alibi(attributes: Attributes) -> str:
    """Return nodes that add the biases by a mask; the slopes are constants, as the heads are."""
    numbers = ", ".join(map(repr, slopes(attributes["q_num_heads"])))
    return f"""
        queries = Shape <start: int = 2, end: int = 3> (Q)
        keys = Shape <start: int = 2, end: int = 3> (K)
        nothing = Constant <value_int: int = 0> ()
        single = Constant <value_int: int = 1> ()
        axis = Constant <value_ints: ints = [0]> ()
        axis_1 = Constant <value_ints: ints = [1]> ()
        queries_0 = Squeeze (queries, axis)
        keys_0 = Squeeze (keys, axis)
        behind = Sub (keys_0, queries_0)
        key_S = Range (nothing, keys_0, single)
        query_T = Range (behind, keys_0, single)
        query_T1 = Unsqueeze (query_T, axis_1)
        ahead = Sub (key_S, query_T1)
        ahead_f = Cast <to: int = 1> (ahead)
        slopes = Constant <value_floats: floats = [{numbers}]> ()
        column = Constant <value_ints: ints = [1, -1, 1, 1]> ()
        slopes_H11 = Reshape (slopes, column)
        bias_f = Mul (slopes_H11, ahead_f)
        bias_HTS = CastLike (bias_f, Q)
        infinity_f = Constant <value: tensor = float[1] {{-inf}}> ()
        infinity = CastLike (infinity_f, Q)
        later = Greater (ahead, nothing)
        bias = Where (later, infinity, bias_HTS)
        Y = Attention{_scale(attributes)} (Q, K, V, bias)
    """


FUNCTIONS = {"AttentionWithAlibi": _with_alibi, "AttentionWithSinks": _with_sinks}
