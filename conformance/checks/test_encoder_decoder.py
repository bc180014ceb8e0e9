"""Encoder-decoders. B batch, S source tokens, T target tokens, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import encoder_decoder as inputs
from conformance.inputs import given
from conformance.oracles.encoder_decoder.corpus import judged
from conformance.oracles.encoder_decoder.model import HIDDEN, LOGITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from conformance.checked import CheckedEncoderDecoder
    from conformance.checked.encoder_decoder import CheckedTarget

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Answer = dict[str, Array]

_GREEDY = 12
"""Steps in which the most probable token is fed."""
_TURNS = 6
"""Tokens of each session that are fed in turns."""


@requirement("SEQ-001")
def test_the_encoded_source_on_the_frozen_corpus_is_exact_but_for_noise(
    model: CheckedEncoderDecoder,
) -> None:
    _on_corpus(model, "near", HIDDEN)


@requirement("SEQ-002")
def test_logits_of_targets_on_the_frozen_corpus_are_exact_but_for_noise(
    model: CheckedEncoderDecoder,
) -> None:
    _on_corpus(model, "near", LOGITS)


@requirement("SEQ-003")
def test_long_rows_are_exact_but_for_noise(model: CheckedEncoderDecoder) -> None:
    for name in (HIDDEN, LOGITS):
        _on_corpus(model, "long", name)


@requirement("SEQ-004")
@given(source_BS=inputs.sources, target_BT=inputs.targets, mask_BS=inputs.masks)
def test_answers_to_any_source_and_target_are_exact_but_for_noise(
    model: CheckedEncoderDecoder, source_BS: Ints, target_BT: Ints, mask_BS: Ints
) -> None:
    asked = source_BS, mask_BS, target_BT
    observed, expected = model.decode(*asked), model.expected(*asked)
    for name, unit in model.noise_on("near").items():
        seen = judged(mask_BS, target_BT, name)
        judge.max_within_noise(observed[name], expected[name], unit, model.contract, seen, name)


@requirement("SEQ-005")
@given(source_BS=inputs.sources, target_BT=inputs.targets, mask_BS=inputs.masks)
def test_answers_of_both_sides_are_finite_and_have_the_claimed_form(
    model: CheckedEncoderDecoder, source_BS: Ints, target_BT: Ints, mask_BS: Ints
) -> None:
    for name, array in model.decode(source_BS, mask_BS, target_BT).items():
        judge.all_finite(array[judged(mask_BS, target_BT, name)], name)


@requirement("SEQ-006")
@given(
    source_BS=inputs.sources,
    target_BT=inputs.targets,
    mask_BS=inputs.masks,
    others_BS=inputs.other_sources,
)
def test_what_stands_under_the_mask_of_a_source_changes_nothing(
    model: CheckedEncoderDecoder,
    source_BS: Ints,
    target_BT: Ints,
    mask_BS: Ints,
    others_BS: Ints,
) -> None:
    one = model.decode(source_BS, mask_BS, target_BT)
    other = model.decode(np.where(mask_BS != 0, source_BS, others_BS), mask_BS, target_BT)
    _related(model, one, other, mask_BS, target_BT)


@requirement("SEQ-007")
@given(source_BS=inputs.several_sources, target_BT=inputs.targets, place=inputs.inner_places)
def test_a_source_that_is_padded_beside_a_longer_one_answers_what_it_answers_alone(
    model: CheckedEncoderDecoder, source_BS: Ints, target_BT: Ints, place: int
) -> None:
    mask_BS = np.ones_like(source_BS)
    mask_BS[0, place:] = 0
    beside = model.decode(source_BS, mask_BS, target_BT)
    alone = model.decode(source_BS[:1, :place], None, target_BT[:1])
    own = {HIDDEN: beside[HIDDEN][:1, :place], LOGITS: beside[LOGITS][:1]}
    _related(model, alone, own, mask_BS[:1, :place], target_BT[:1])


@requirement("SEQ-008")
@given(
    source_BS=inputs.sources,
    target_BT=inputs.targets,
    others_BT=inputs.other_targets,
    cut=inputs.cuts,
)
def test_later_target_tokens_do_not_change_earlier_logits(
    model: CheckedEncoderDecoder, source_BS: Ints, target_BT: Ints, others_BT: Ints, cut: int
) -> None:
    changed_BT = np.concatenate([target_BT[:, :cut], others_BT[:, cut:]], axis=1)
    one, other = (
        model.decode(source_BS, None, ids_BT)[LOGITS][:, :cut] for ids_BT in (target_BT, changed_BT)
    )
    judge.related(one, other, model.noise, model.contract, None, LOGITS)


@requirement("SEQ-009")
@given(
    source_BS=inputs.sources,
    target_BT=inputs.targets,
    others_BS=inputs.other_sources,
    place=inputs.inner_places,
)
def test_an_exchanged_source_token_changes_both_sides_and_every_target_token(
    model: CheckedEncoderDecoder, source_BS: Ints, target_BT: Ints, others_BS: Ints, place: int
) -> None:
    exchanged_BS = source_BS.copy()
    exchanged_BS[:, place] = others_BS[:, place]
    change, exact = (
        _change(ask(source_BS, None, target_BT), ask(exchanged_BS, None, target_BT))
        for ask in (model.decode, model.expected)
    )
    slots_S, units = np.arange(source_BS.shape[1]), model.noise_on("near")
    for side_S in (slots_S < place, slots_S > place):
        seen_BS = np.broadcast_to(side_S, source_BS.shape)
        judge.related(change[HIDDEN], exact[HIDDEN], units[HIDDEN], model.contract, seen_BS, HIDDEN)
    judge.related(change[LOGITS], exact[LOGITS], units[LOGITS], model.contract, None, LOGITS)


@requirement("SEQ-010")
@given(source_BS=inputs.sources, target_BT=inputs.targets, padding_BN=inputs.padding)
def test_padding_in_front_of_a_source_changes_nothing(
    model: CheckedEncoderDecoder, source_BS: Ints, target_BT: Ints, padding_BN: Ints
) -> None:
    model = model.of_distances()
    padded_BS = np.concatenate([padding_BN, source_BS], axis=1)
    mask_BS = np.concatenate([0 * padding_BN, np.ones_like(source_BS)], axis=1)
    padded = model.decode(padded_BS, mask_BS, target_BT)
    own = {HIDDEN: padded[HIDDEN][:, padding_BN.shape[1] :], LOGITS: padded[LOGITS]}
    alone = model.decode(source_BS, None, target_BT)
    _related(model, alone, own, np.ones_like(source_BS), target_BT)


@requirement("SEQ-011")
@given(
    10,
    source_BS=inputs.sources,
    target_BT=inputs.targets,
    mask_BS=inputs.masks,
    pieces=inputs.pieces,
)
def test_a_target_in_steps_answers_what_it_answers_at_once(
    model: CheckedEncoderDecoder,
    source_BS: Ints,
    target_BT: Ints,
    mask_BS: Ints,
    pieces: Sequence[int],
) -> None:
    at_once = model.decode(source_BS, mask_BS, target_BT)[LOGITS]
    in_steps = _fed(model.start(source_BS, mask_BS), np.split(target_BT, pieces, axis=1))
    judge.related(in_steps, at_once, model.noise, model.contract, None, LOGITS)


@requirement("SEQ-012")
@given(
    5,
    source_BS=inputs.sources,
    target_BT=inputs.targets,
    mask_BS=inputs.masks,
    others_BS=inputs.other_sources,
)
def test_sessions_on_several_sources_answer_by_their_own(
    model: CheckedEncoderDecoder,
    source_BS: Ints,
    target_BT: Ints,
    mask_BS: Ints,
    others_BS: Ints,
) -> None:
    # Sources of one shape, the second with all its tokens shown, and the third the first once more.
    given = ((source_BS, mask_BS), (others_BS, None), (source_BS, mask_BS))
    target_BT = target_BT[:, :_TURNS]
    sessions = [model.start(*source) for source in given]
    steps = np.split(target_BT, target_BT.shape[1], axis=1)
    turns = [[session.append(step_B1) for session in sessions] for step_B1 in steps]
    for source, answers in zip(given, zip(*turns, strict=True), strict=True):
        exact = model.expected(*source, target_BT)[LOGITS]
        found = np.concatenate(answers, axis=1)
        judge.max_within_noise(found, exact, model.noise, model.contract, None, LOGITS)


@requirement("SEQ-013")
def test_steps_behind_a_long_target_are_exact_but_for_noise(model: CheckedEncoderDecoder) -> None:
    fixed = model.corpus("long")
    source_BS, mask_BS, target_BT = fixed.inputs
    far = model.far
    steps = np.split(target_BT, range(far, target_BT.shape[1]), axis=1)
    observed = _fed(model.start(source_BS, mask_BS), steps)
    expected = model.expected(*fixed.inputs)[LOGITS]
    unit = model.noise_on("long")[LOGITS]
    judge.within_noise(observed, expected, unit, model.contract, fixed.judged(LOGITS), LOGITS)


@requirement("SEQ-014")
@given(5, source_BS=inputs.sources, mask_BS=inputs.masks)
def test_a_greedy_continuation_stays_exact_but_for_noise(
    model: CheckedEncoderDecoder, source_BS: Ints, mask_BS: Ints
) -> None:
    session, answers = model.start(source_BS, mask_BS), []
    fed = [np.full((len(source_BS), 1), model.start_token, np.int64)]
    for _ in range(_GREEDY):
        answers.append(session.append(fed[-1]))
        fed.append(answers[-1].astype(np.float64).argmax(axis=-1))
    target_BT = np.concatenate(fed[:-1], axis=1)
    exact = model.expected(source_BS, mask_BS, target_BT)[LOGITS]
    found = np.concatenate(answers, axis=1)
    judge.max_within_noise(found, exact, model.noise, model.contract, None, LOGITS)


@requirement("SEQ-015")
@given(
    10,
    source_BS=inputs.several_sources,
    target_BT=inputs.targets,
    mask_BS=inputs.masks,
    cut=inputs.cuts,
    rows=inputs.picked_rows,
)
def test_rows_that_change_places_go_on_by_their_own_source_and_target(
    model: CheckedEncoderDecoder,
    source_BS: Ints,
    target_BT: Ints,
    mask_BS: Ints,
    cut: int,
    rows: Sequence[int],
) -> None:
    session, picked = model.start(source_BS, mask_BS), list(rows)
    session.append(target_BT[:, :cut])
    session.reorder(picked)
    found = session.append(target_BT[picked, cut:])
    exact = model.expected(source_BS[picked], mask_BS[picked], target_BT[picked])[LOGITS]
    judge.max_within_noise(found, exact[:, cut:], model.noise, model.contract, None, LOGITS)


def _on_corpus(model: CheckedEncoderDecoder, corpus: str, name: str) -> None:
    fixed = model.corpus(corpus)
    judge.within_noise(
        model.answer_on(corpus)[name],
        model.expected(*fixed.inputs)[name],
        model.noise_on(corpus)[name],
        model.contract,
        fixed.judged(name),
        name,
    )


def _fed(session: CheckedTarget, steps: Sequence[Ints]) -> Array:
    """Return the logits of all steps of a session, (B, T, V)."""
    return np.concatenate([session.append(step_BT) for step_BT in steps], axis=1)


def _related(
    model: CheckedEncoderDecoder, one: Answer, other: Answer, mask_BS: Ints, target_BT: Ints
) -> None:
    """Demand that two answers agree wherever the mask shows something."""
    for name, unit in model.noise_on("near").items():
        seen = judged(mask_BS, target_BT, name)
        judge.related(one[name], other[name], unit, model.contract, seen, name)


def _change(one: Answer, other: Answer) -> Answer:
    return {
        name: other[name].astype(np.float64) - array.astype(np.float64)
        for name, array in one.items()
    }
