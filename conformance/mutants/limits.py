"""Faults of the limits on what may be drawn, and of the order of steps. B rows, V vocabulary."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants._calls import ids
from conformance.mutants._requests import asking, then

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import SamplingCall, SamplingParameters

    Honest = Callable[..., Any]


@mutant("process", kills=ids("SAMPLE", 4), bug="generic")
def top_k_of_one_more(honest: Honest, call: SamplingCall) -> Any:
    """One token more than k stays."""
    return honest(asking(call, lambda row: {"top_k": row.top_k + (row.top_k > 0)}))


@mutant("process", kills=ids("SAMPLE", 1), bug="generic")
def top_k_of_at_most_50(honest: Honest, call: SamplingCall) -> Any:
    """No more than 50 tokens ever stay."""
    return honest(asking(call, lambda row: {"top_k": min(row.top_k or 50, 50)}))


@mutant("process", kills=ids("SAMPLE", 1, 14), bug="generic")
def masked_tokens_keep_a_share(honest: Honest, call: SamplingCall) -> Any:
    """A logit of minus infinity becomes the least of the finite ones less 2."""
    finite_BV = np.isfinite(call.logits_BV)
    least_B1 = np.where(finite_BV, call.logits_BV, np.inf).min(-1, keepdims=True) - 2
    logits_BV = np.where(finite_BV, call.logits_BV, least_B1).astype(np.float32)
    return honest(dataclasses.replace(call, logits_BV=logits_BV))


@mutant("process", kills=ids("SAMPLE", 5), bug="generic")
def ties_stay_by_the_highest_id(honest: Honest, call: SamplingCall) -> Any:
    """Of tokens as probable as the k-th those with the highest ids stay."""
    size, bias = call.logits_BV.shape[1], "logit_bias"

    def turned(row: SamplingParameters) -> dict[str, Any]:
        return {bias: tuple((size - 1 - token, more) for token, more in row.logit_bias)}

    def mirrored(rows: Any) -> Any:
        return tuple(tuple(size - 1 - token for token in row) for row in rows)

    other = dataclasses.replace(
        asking(call, turned),
        logits_BV=call.logits_BV[:, ::-1].copy(),
        prompts=mirrored(call.prompts),
        generated=mirrored(call.generated),
    )
    return honest(other)[:, ::-1].copy()


@mutant("process", kills=ids("SAMPLE", 6, 12), bug="generic")
def top_p_without_the_crossing_token(honest: Honest, call: SamplingCall) -> Any:
    """The token that crosses p is dropped, but for the first."""
    p_BV = honest(call)
    whole_BV = honest(asking(call, lambda _: {"top_p": 1.0, "min_p": 0.0}))
    for p_V, whole_V, row in zip(p_BV, whole_BV, call.parameters, strict=True):
        kept = np.flatnonzero(p_V)
        if row.top_p < 1 and len(kept) > 1:
            p_V[kept[np.argmin(whole_V[kept])]] = 0
    return p_BV / p_BV.sum(-1, keepdims=True)


@mutant("process", kills=ids("SAMPLE", 1), bug="generic")
def top_p_of_one_is_reached_too_early(honest: Honest, call: SamplingCall) -> Any:
    """A p of 1 drops the tokens behind the one at which the rounded sum of shares is 1."""
    p_BV = honest(call)
    for p_V, row in zip(p_BV, call.parameters, strict=True):
        order_V = np.argsort(-p_V, kind="stable")
        reached_V = np.cumsum(p_V[order_V]) >= 1
        if row.top_p == 1 and reached_V.any():
            p_V[order_V[int(np.argmax(reached_V)) + 1 :]] = 0
    return p_BV


@mutant("process", kills=ids("SAMPLE", 6, 14, 15), bug="generic")
def top_p_ignored(honest: Honest, call: SamplingCall) -> Any:
    """Every token stays, whatever p is."""
    return honest(asking(call, lambda _: {"top_p": 1.0}))


@mutant("process", kills=ids("SAMPLE", 7), bug="generic")
def min_p_of_the_whole(honest: Honest, call: SamplingCall) -> Any:
    """Tokens stay whose share is at least min_p, not that part of the largest."""
    p_BV = honest(asking(call, lambda _: {"min_p": 0.0}))
    for p_V, row in zip(p_BV, call.parameters, strict=True):
        p_V[(p_V < row.min_p) & (p_V < p_V.max())] = 0
    return p_BV / p_BV.sum(-1, keepdims=True)


@mutant("process", kills=ids("SAMPLE", 11, 12), bug="generic")
def bias_after_the_limits(honest: Honest, call: SamplingCall) -> Any:
    """Biases are added to what the limits have left."""
    first = asking(call, lambda _: {"logit_bias": ()})
    return then(honest, call, first, "logit_bias")


@mutant("process", kills=ids("SAMPLE", 12), bug="generic")
def top_p_before_top_k(honest: Honest, call: SamplingCall) -> Any:
    """The tokens that reach p are taken of all, and the k most probable of those."""
    first = asking(call, lambda _: {"top_k": 0, "min_p": 0.0})
    return then(honest, call, first, "top_k", "min_p")


@mutant("process", kills=ids("SAMPLE", 12), bug="generic")
def temperature_after_the_limits(honest: Honest, call: SamplingCall) -> Any:
    """Limits are taken of logits that no temperature has divided yet."""
    if any(row.temperature == 0 for row in call.parameters):
        return honest(call)
    return then(honest, call, asking(call, lambda _: {"temperature": 1.0}), "temperature")


@mutant("process", kills=ids("SAMPLE", 12), bug="generic")
def min_p_before_the_temperature(honest: Honest, call: SamplingCall) -> Any:
    """min_p looks at shares that no temperature and no other limit has changed yet."""
    if any(row.temperature == 0 for row in call.parameters):
        return honest(call)
    first = asking(call, lambda _: {"temperature": 1.0, "top_k": 0, "top_p": 1.0})
    return then(honest, call, first, "temperature", "top_k", "top_p")


@mutant("process", kills=ids("SAMPLE", 12), bug="generic")
def penalties_after_the_temperature(honest: Honest, call: SamplingCall) -> Any:
    """The presence penalty is taken from logits that the temperature has divided."""

    def scaled(row: SamplingParameters) -> dict[str, Any]:
        return {"presence_penalty": row.presence_penalty * (row.temperature or 1.0)}

    return honest(asking(call, scaled))


@mutant(
    "process",
    bug="generic",
    equivalent="A limit keeps the order of tokens, so that limiting twice is limiting once.",
)
def top_k_taken_twice(honest: Honest, call: SamplingCall) -> Any:
    """The k most probable tokens are taken of the k most probable."""
    kept_BV = honest(asking(call, lambda _: {"top_p": 1.0, "min_p": 0.0})) > 0
    limited_BV = np.where(kept_BV, call.logits_BV, -np.inf).astype(np.float32)
    return honest(dataclasses.replace(call, logits_BV=limited_BV))
