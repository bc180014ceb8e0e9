"""Attention: who sees whom, and with which weight. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches
from conformance.inputs.operators.attention import (
    attentions,
    attentions_with_a_nan,
    attentions_with_alibi,
    attentions_with_sinks,
    one_hot_values,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel, CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]
    Ints = NDArray[np.int64]


@requirement("ATTN-001")
@given(tokens_BT=token_batches(min_length=2), cut=inputs.cuts, later_BT=inputs.later_tokens)
def test_later_tokens_do_not_change_earlier_logits(
    model: CheckedModel, tokens_BT: Ints, cut: int, later_BT: Ints
) -> None:
    changed_BT = np.concatenate([tokens_BT[:, :cut], later_BT], axis=1)
    before, after = model.logits(tokens_BT)[:, :cut], model.logits(changed_BT)[:, :cut]
    judge.related(before, after, model.noise, model.contract)


@requirement("ATTN-002")
@given(call=attentions)
def test_scores_are_scaled_by_the_root_of_the_head_dim_or_as_given(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-003")
@given(call=attentions)
def test_neighbouring_query_heads_share_a_key_value_head(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-005")
@given(call=attentions)
def test_causal_queries_see_no_later_key(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _sees_only_its_keys(operators, call)


@requirement("ATTN-007")
@given(call=attentions)
def test_cached_keys_come_before_the_new_ones(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-008")
@given(call=attentions)
def test_without_a_past_the_first_query_sees_the_first_key(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _sees_only_its_keys(operators, call)


@requirement("ATTN-009")
@given(call=attentions)
def test_keys_and_values_have_sizes_of_their_own(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-010")
@given(call=attentions)
def test_windows_hold_the_keys_that_they_name(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _sees_only_its_keys(operators, call)


def _sees_only_its_keys(operators: CheckedOperators, call: OperatorCall) -> None:
    """Judge attention, and with one-hot values that what is not seen weighs exactly nothing."""
    judge.within_bounds(operators.compute(call), operators.expected(call))
    shown = one_hot_values(call)
    unseen = operators.expected(shown)["Y"].value == 0
    judge.all_zero(operators.compute(shown)["Y"][unseen], "Y[unseen keys]")


@requirement("ATTN-011")
@given(call=attentions)
def test_the_softcap_comes_before_the_mask(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-016")
@given(call=attentions)
def test_every_length_is_computed_to_its_end(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-017")
@given(call=attentions)
def test_three_dimensional_inputs_are_split_into_heads(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-020")
@given(call=attentions_with_sinks)
def test_a_sink_takes_weight_and_gives_no_value(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-021")
@given(call=attentions_with_alibi)
def test_linear_biases_have_the_slopes_of_their_heads(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ATTN-022")
@given(call=attentions_with_a_nan)
def test_a_query_that_is_no_number_spoils_itself_alone(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))
