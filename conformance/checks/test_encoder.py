"""Encoders. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import encoder as inputs
from conformance.inputs import given
from conformance.oracles.encoder.corpus import judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedEncoder

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Answer = dict[str, Array]

HIDDEN, POOLED, LOGITS = "last_hidden_state", "pooler_output", "logits"


@requirement("ENC-001")
def test_hidden_states_on_the_frozen_corpus_are_exact_but_for_noise(model: CheckedEncoder) -> None:
    _on_corpus(model, "near", HIDDEN)


@requirement("ENC-002")
def test_row_vectors_on_the_frozen_corpus_are_exact_but_for_noise(model: CheckedEncoder) -> None:
    _on_corpus(model, "near", model.having(POOLED))


@requirement("ENC-003")
def test_masked_token_logits_on_the_frozen_corpus_are_exact_but_for_noise(
    model: CheckedEncoder,
) -> None:
    _on_corpus(model, "near", model.having(LOGITS))


@requirement("ENC-013")
def test_rows_of_every_position_are_exact_but_for_noise(model: CheckedEncoder) -> None:
    for name in model.outputs:
        _on_corpus(model, "long", name)


@requirement("ENC-004")
@given(tokens_BT=inputs.batches, types_BT=inputs.token_types, mask_BT=inputs.holes)
def test_answers_to_any_batch_are_exact_but_for_noise(
    model: CheckedEncoder, tokens_BT: Ints, types_BT: Ints, mask_BT: Ints
) -> None:
    asked = tokens_BT, mask_BT, types_BT
    observed, expected = model.encode(*asked), model.expected(*asked)
    for name, unit in model.noise_on("near").items():
        seen = judged(mask_BT, name)
        if seen.any():  # of rows whose first slots are all hidden no vector is judged
            judge.max_within_noise(observed[name], expected[name], unit, model.contract, seen, name)


@requirement("ENC-005")
@given(tokens_BT=inputs.batches, types_BT=inputs.token_types, mask_BT=inputs.holes)
def test_answers_are_finite_and_have_the_claimed_form(
    model: CheckedEncoder, tokens_BT: Ints, types_BT: Ints, mask_BT: Ints
) -> None:
    for name, array in model.encode(tokens_BT, mask_BT, types_BT).items():
        judge.all_finite(array[judged(mask_BT, name)], name)


@requirement("ENC-006")
@given(
    tokens_BT=inputs.batches,
    types_BT=inputs.token_types,
    others_BT=inputs.others,
    place=inputs.inner_places,
)
def test_an_exchanged_token_changes_what_stands_before_it_and_behind_it(
    model: CheckedEncoder, tokens_BT: Ints, types_BT: Ints, others_BT: Ints, place: int
) -> None:
    exchanged_BT = tokens_BT.copy()
    exchanged_BT[:, place] = others_BT[:, place]
    change, exact = (
        _change(ask(tokens_BT, None, types_BT), ask(exchanged_BT, None, types_BT))[HIDDEN]
        for ask in (model.encode, model.expected)
    )
    slots_T = np.arange(tokens_BT.shape[1])
    for side_T in (slots_T < place, slots_T > place):
        seen_BT = np.broadcast_to(side_T, tokens_BT.shape)
        judge.related(change, exact, model.noise, model.contract, seen_BT, HIDDEN)


@requirement("ENC-007")
@given(
    tokens_BT=inputs.batches,
    types_BT=inputs.token_types,
    mask_BT=inputs.holes,
    others_BT=inputs.others,
    other_types_BT=inputs.other_types,
)
def test_what_stands_under_the_mask_changes_nothing(
    model: CheckedEncoder,
    tokens_BT: Ints,
    types_BT: Ints,
    mask_BT: Ints,
    others_BT: Ints,
    other_types_BT: Ints,
) -> None:
    there_BT, there_types_BT = (
        np.where(mask_BT != 0, own_BT, other_BT)
        for own_BT, other_BT in ((tokens_BT, others_BT), (types_BT, other_types_BT))
    )
    one = model.encode(tokens_BT, mask_BT, types_BT)
    other = model.encode(there_BT, mask_BT, there_types_BT)
    _related(model, one, other, mask_BT)


@requirement("ENC-008")
@given(
    tokens_BT=inputs.several_rows,
    types_BT=inputs.token_types,
    place=inputs.inner_places,
)
def test_a_row_that_is_padded_beside_a_longer_one_answers_what_it_answers_alone(
    model: CheckedEncoder, tokens_BT: Ints, types_BT: Ints, place: int
) -> None:
    mask_BT = np.ones_like(tokens_BT)
    mask_BT[0, place:] = 0
    beside = model.encode(tokens_BT, mask_BT, types_BT)
    alone = model.encode(tokens_BT[:1, :place], None, types_BT[:1, :place])
    own = {name: a[:1] if name == POOLED else a[:1, :place] for name, a in beside.items()}
    _related(model, alone, own, mask_BT[:1, :place])


@requirement("ENC-009")
@given(tokens_BT=inputs.several_rows, types_BT=inputs.token_types, mask_BT=inputs.holes)
def test_a_row_alone_answers_what_it_answers_in_a_batch(
    model: CheckedEncoder, tokens_BT: Ints, types_BT: Ints, mask_BT: Ints
) -> None:
    together = model.encode(tokens_BT, mask_BT, types_BT)
    for row in range(len(tokens_BT)):
        own = slice(row, row + 1)
        alone = model.encode(tokens_BT[own], mask_BT[own], types_BT[own])
        _related(model, alone, {name: a[own] for name, a in together.items()}, mask_BT[own])


@requirement("ENC-010")
@given(
    tokens_BT=inputs.batches,
    types_BT=inputs.token_types,
    other_types_BT=inputs.other_types,
    place=inputs.inner_places,
)
def test_an_exchanged_type_changes_all_answers_as_it_does_exactly(
    model: CheckedEncoder, tokens_BT: Ints, types_BT: Ints, other_types_BT: Ints, place: int
) -> None:
    exchanged_BT = types_BT.copy()
    exchanged_BT[:, place] = other_types_BT[:, place]
    change, exact = (
        _change(ask(tokens_BT, None, types_BT), ask(tokens_BT, None, exchanged_BT))
        for ask in (model.encode, model.expected)
    )
    _related(model, change, exact, np.ones_like(tokens_BT))


@requirement("ENC-011")
@given(tokens_BT=inputs.batches, types_BT=inputs.token_types)
def test_the_vector_of_a_row_is_made_of_its_first_hidden_state(
    model: CheckedEncoder, tokens_BT: Ints, types_BT: Ints
) -> None:
    unit = model.noise_on("near")[model.having(POOLED)]
    answer = model.encode(tokens_BT, None, types_BT)
    expected = model.oracle.exact.pooled(answer[HIDDEN].astype(np.float64))
    judge.max_within_noise(answer[POOLED], expected, unit, model.contract, None, POOLED)


@requirement("ENC-012")
@given(tokens_BT=inputs.batches, types_BT=inputs.token_types)
def test_masked_token_logits_are_made_of_the_hidden_states(
    model: CheckedEncoder, tokens_BT: Ints, types_BT: Ints
) -> None:
    unit = model.noise_on("near")[model.having(LOGITS)]
    answer = model.encode(tokens_BT, None, types_BT)
    expected = model.oracle.exact.predicted(answer[HIDDEN].astype(np.float64))
    judge.max_within_noise(answer[LOGITS], expected, unit, model.contract, None, LOGITS)


def _on_corpus(model: CheckedEncoder, corpus: str, name: str) -> None:
    fixed = model.corpus(corpus)
    judge.within_noise(
        model.answer_on(corpus)[name],
        model.expected(*fixed.inputs)[name],
        model.noise_on(corpus)[name],
        model.contract,
        judged(fixed.attention_mask_BT, name),
        name,
    )


def _related(model: CheckedEncoder, one: Answer, other: Answer, mask_BT: Ints) -> None:
    """Demand that two answers agree wherever the mask shows something."""
    for name, unit in model.noise_on("near").items():
        seen = judged(mask_BT, name)
        if seen.any():
            judge.related(one[name], other[name], unit, model.contract, seen, name)


def _change(one: Answer, other: Answer) -> Answer:
    return {
        name: other[name].astype(np.float64) - array.astype(np.float64)
        for name, array in one.items()
    }
