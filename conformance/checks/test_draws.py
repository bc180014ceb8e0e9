"""Tokens that are drawn, by tests whose size and power are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.sampling import call_of, histories, logits, row_of, seeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from conformance.checked import CheckedSampler

    Case = Mapping[str, Any]
    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_CALLS = 2
"""Each is drawn from tens of thousands of times."""
_APART = 1 << 20
"""Between seeds that are to have nothing in common, whatever a second look asks for."""
_DRAWS = 64
"""Draws of one seed that are compared with its draws of another time."""


@requirement("SAMPLE-014")
@given(_CALLS, history_BS=histories, logits_BV=logits, seed=seeds)
def test_no_token_without_a_share_is_drawn(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array, seed: int
) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    judge.in_support(sampler.stream(call, seed), sampler.expected(call).value_BV)


@requirement("SAMPLE-015")
@given(_CALLS, history_BS=histories, logits_BV=logits, seed=seeds)
def test_tokens_are_drawn_as_often_as_their_shares_say(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array, seed: int
) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    judge.as_often(sampler.stream(call, seed), sampler.expected(call).value_BV)


@requirement("SAMPLE-016")
@given(_CALLS, history_BS=histories, logits_BV=logits, seed=seeds)
def test_a_draw_tells_nothing_of_the_next(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array, seed: int
) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    judge.independent_steps(sampler.stream(call, seed), sampler.expected(call).value_BV)


@requirement("SAMPLE-017")
@given(_CALLS, history_BS=histories, logits_BV=logits, seed=seeds)
def test_a_row_tells_nothing_of_another(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array, seed: int
) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    judge.independent_rows(sampler.stream(call, seed), sampler.expected(call).value_BV)


@requirement("SAMPLE-018")
@given(_CALLS, history_BS=histories, logits_BV=logits, seed=seeds)
def test_a_seed_tells_nothing_of_another(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array, seed: int
) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    streams = [sampler.stream(call, seed + i, step=_APART) for i in range(3)]
    judge.independent_seeds(streams, sampler.expected(call).value_BV[0])


@requirement("SAMPLE-019")
@given(_CALLS, history_BS=histories, logits_BV=logits, seed=seeds)
def test_a_seed_draws_the_same_tokens_again(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array, seed: int
) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    first_BN = sampler.draw(call, seed, _DRAWS)
    sampler.draw(call, seed + 1, _DRAWS)  # a state that both share would be moved by it
    judge.bitwise_equal(sampler.draw(call, seed, _DRAWS), first_BN, "tokens")


@requirement("SAMPLE-020")
@given(_CALLS, history_BS=histories, logits_BV=logits, seed=seeds)
def test_first_draws_of_seeds_in_a_row_come_as_often_as_their_shares_say(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array, seed: int
) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    judge.over_seeds(sampler.firsts(call, seed), sampler.expected(call).value_BV)


@requirement("SAMPLE-021")
@given(_CALLS, history_BS=histories, logits_BV=logits, seed=seeds)
def test_a_row_is_drawn_as_if_the_other_rows_were_others(
    sampler: CheckedSampler, case: Case, history_BS: Ints, logits_BV: Array, seed: int
) -> None:
    call = call_of(case, logits_BV, history_BS, sampler.policy)
    together_BN = sampler.draw(call, seed, _DRAWS)
    alone_BN = sampler.draw(row_of(call, 0), seed, _DRAWS)
    judge.bitwise_equal(alone_BN, together_BN[:1], "tokens")
    for rows, place in (([0, 2, 1], 0), ([2, 1, 0], 1)):
        turned = call_of(case, logits_BV[rows], history_BS[rows], sampler.policy)
        own = slice(place, place + 1)
        judge.bitwise_equal(sampler.draw(turned, seed, _DRAWS)[own], together_BN[own], "tokens")
