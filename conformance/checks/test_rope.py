"""Rotary position embedding. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import inputs, judge, models
from conformance.checks import requirement
from conformance.inputs import given, token_batches
from conformance.inputs.operators.phases import phases
from conformance.inputs.operators.rotary import (
    flat_rotations,
    partial_rotations,
    rotations,
    rotations_by_token,
    special_rotations,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel, CheckedOperators
    from conformance.records import OperatorCall

    Case = Mapping[str, Any]
    Ints = NDArray[np.int64]


@requirement("ROPE-001")
@given(call=rotations)
def test_pairs_turn_by_the_angle(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-002")
@given(call=rotations)
def test_the_angle_follows_the_given_position(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-003")
@given(tokens_BT=token_batches(min_length=2), at_BT=inputs.position_gaps)
def test_logits_follow_the_given_positions(
    model: CheckedModel, tokens_BT: Ints, at_BT: Ints
) -> None:
    observed = model.logits(tokens_BT, at_BT=at_BT)
    expected = model.expected(tokens_BT, at_BT=at_BT)
    judge.max_within_noise(observed, expected, model.noise, model.contract)


@requirement("ROPE-004")
@given(call=partial_rotations)
def test_channels_behind_the_rotated_ones_are_copied(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    observed = operators.compute(call)
    judge.within_bounds(observed, operators.expected(call))
    turned = call.attributes["rotary_embedding_dim"]
    judge.bitwise_equal(observed["Y"][..., turned:], call.inputs["X"][..., turned:])


@requirement("ROPE-005")
@given(call=flat_rotations)
def test_heads_side_by_side_turn_like_heads_apart(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-006")
@given(call=rotations_by_token)
def test_phases_may_be_given_by_token(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-007")
@given(call=special_rotations)
def test_special_values_reach_their_pair_alone(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-008")
@given(call=phases)
def test_phases_are_exact_to_the_rounding_of_their_type(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-009")
@given(call=phases)
def test_linear_scaling_divides_every_frequency(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-010")
@given(call=phases)
def test_llama3_scaling_divides_slow_frequencies(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-011")
@given(call=phases)
def test_yarn_divides_slow_frequencies(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-012")
@given(call=phases)
def test_yarn_multiplies_by_the_attention_factor(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-013")
@given(call=phases)
def test_longrope_divides_each_frequency_by_its_own_factor(
    operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-014")
def test_logits_follow_positions_to_the_models_last(model: CheckedModel) -> None:
    corpus = models.corpus_named("far", model.package)
    asked = (corpus.input_ids_BT, corpus.attention_mask_BT, corpus.position_ids_BT)
    observed, expected = model.logits(*asked), model.expected(*asked)
    unit, judged_BT = model.noise_on("far"), corpus.attention_mask_BT
    judge.within_noise(observed, expected, unit, model.contract, judged_BT)
