"""The distribution that a token is drawn from: replayed step by step, with no statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.sampling import call_of, histories, logits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from conformance.checked import CheckedSampler

    Case = Mapping[str, Any]
    Array = NDArray[Any]
    Ints = NDArray[np.int64]


@requirement("SAMPLE-001")
@given(history_BS=histories, logits_BV=logits)
def test_shares_are_the_softmax_of_the_logits(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-002")
@given(history_BS=histories, logits_BV=logits)
def test_temperature_divides_the_logits(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-003")
@given(history_BS=histories, logits_BV=logits)
def test_temperature_zero_leaves_the_most_probable_token(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-004")
@given(history_BS=histories, logits_BV=logits)
def test_the_k_most_probable_tokens_stay(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-005")
@given(history_BS=histories, logits_BV=logits)
def test_tokens_as_probable_as_the_last_one_stay_as_declared(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-006")
@given(history_BS=histories, logits_BV=logits)
def test_the_fewest_tokens_that_reach_p_stay(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-007")
@given(history_BS=histories, logits_BV=logits)
def test_tokens_stay_by_their_part_of_the_most_probable(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-008")
@given(history_BS=histories, logits_BV=logits)
def test_a_repetition_penalty_makes_seen_tokens_less_probable(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-009")
@given(history_BS=histories, logits_BV=logits)
def test_presence_counts_once_and_frequency_each_time(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-010")
@given(history_BS=histories, logits_BV=logits)
def test_penalties_look_at_the_declared_tokens(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-011")
@given(history_BS=histories, logits_BV=logits)
def test_a_bias_is_added_to_the_logits(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-012")
@given(history_BS=histories, logits_BV=logits)
def test_steps_are_taken_in_the_declared_order(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


@requirement("SAMPLE-013")
@given(history_BS=histories, logits_BV=logits)
def test_each_row_has_its_own_history_and_parameters(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array
) -> None:
    _replay(sampler, case, history_BS, logits_BV)


def _replay(sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    judge.same_shares(sampler.process(call), sampler.expected(call))
