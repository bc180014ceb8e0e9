"""Attention: who sees whom, and with which weight. B batch, T tokens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches
from conformance.inputs.operators.attention import (
    attentions,
    hidden_key_attentions,
    masked_attentions,
    one_hot_values,
    poisoned,
    poisons,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel, CheckedOperators
    from conformance.records import OperatorCall

    Ints = NDArray[np.int64]

regimes = pytest.mark.parametrize("regime", ["flat", "plain", "sharp"])


@requirement("ATTN-001")
@given(tokens_BT=token_batches(min_length=2), cut=inputs.cuts, later_BT=inputs.later_tokens)
def test_later_tokens_do_not_change_earlier_logits(
    model: CheckedModel, tokens_BT: Ints, cut: int, later_BT: Ints
) -> None:
    changed_BT = np.concatenate([tokens_BT[:, :cut], later_BT], axis=1)
    before, after = model.logits(tokens_BT)[:, :cut], model.logits(changed_BT)[:, :cut]
    judge.related(before, after, model.noise, model.contract)


@requirement("ATTN-002")
@regimes
@given(call=attentions)
def test_scores_are_scaled_by_the_root_of_the_head_dim(
    operators: CheckedOperators, regime: str, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-002")
@given(call=partial(attentions, regime="plain", scaled=True))
def test_a_given_scale_replaces_the_default(
    operators: CheckedOperators, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-003")
@pytest.mark.parametrize("group", [2, 3, 8])
@given(call=partial(attentions, regime="plain"))
def test_neighbouring_query_heads_share_a_key_value_head(
    operators: CheckedOperators, group: int, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-004")
@given(
    tokens_BT=token_batches(min_length=2),
    paddings_B=inputs.paddings,
    side=inputs.sides,
    others_BT=inputs.pad_tokens,
)
def test_hidden_tokens_do_not_change_the_others_logits(
    model: CheckedModel, tokens_BT: Ints, paddings_B: Ints, side: str, others_BT: Ints
) -> None:
    places_T = np.arange(tokens_BT.shape[1])
    hidden_BT = places_T < paddings_B[:, None]
    hidden_BT = hidden_BT if side == "left" else hidden_BT[:, ::-1]
    mask_BT = (~hidden_BT).astype(np.int64)
    changed_BT = np.where(hidden_BT, others_BT, tokens_BT)
    before, after = model.logits(tokens_BT, mask_BT), model.logits(changed_BT, mask_BT)
    judge.related(before, after, model.noise, model.contract, mask_BT)


@requirement("ATTN-005")
@regimes
@given(call=partial(attentions, causal=True))
def test_causal_queries_see_no_later_key(
    operators: CheckedOperators, regime: str, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
    probabilities = operators.compute(one_hot_values(call))["Y"]
    later = np.triu(np.ones(probabilities.shape[-2:], dtype=bool), k=1)
    judge.all_zero(probabilities[..., later], "Y[later keys]")


@requirement("ATTN-006")
@pytest.mark.parametrize("kind", ["boolean", "additive"])
@given(call=masked_attentions)
def test_a_mask_hides_the_keys_that_it_names(
    operators: CheckedOperators, kind: str, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-006")
@pytest.mark.parametrize("kind", ["boolean", "additive"])
@given(call=hidden_key_attentions)
def test_what_stands_under_a_mask_leaves_no_trace(
    operators: CheckedOperators, kind: str, call: OperatorCall
) -> None:
    clean = operators.compute(call)["Y"]
    for poison in poisons(operators.dtype):
        judge.bitwise_equal(operators.compute(poisoned(call, poison))["Y"], clean)
