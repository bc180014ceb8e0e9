"""Logits against the fp64 oracle. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance import faults, inputs, judge, models
from conformance.checks import requirement
from conformance.inputs import given, token_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

    Ints = NDArray[np.int64]


@requirement("LOGITS-001")
def test_logits_on_the_frozen_long_rows_are_exact_but_for_noise(model: CheckedModel) -> None:
    # Before the corpus whose logits are kept for other checks: a large model has not both at once.
    corpus = models.corpus_named("long", model.package)
    asked = (corpus.input_ids_BT, corpus.attention_mask_BT, corpus.position_ids_BT)
    observed, expected = model.logits(*asked), model.expected(*asked)
    unit, judged_BT = model.noise_on("long"), corpus.attention_mask_BT
    judge.within_noise(observed, expected, unit, model.contract, judged_BT)


@requirement("LOGITS-001")
def test_logits_on_the_frozen_corpus_are_exact_but_for_noise(model: CheckedModel) -> None:
    judge.within_noise(
        model.answer_BTV,
        model.exact_BTV,
        model.noise,
        model.contract,
        model.corpus.attention_mask_BT,
    )


@requirement("LOGITS-002")
@given(tokens_BT=token_batches(), paddings_B=inputs.paddings, side=inputs.sides)
def test_logits_of_any_batch_are_exact_but_for_noise(
    model: CheckedModel, tokens_BT: Ints, paddings_B: Ints, side: str
) -> None:
    mask_BT = (np.arange(tokens_BT.shape[1]) >= paddings_B[:, None]).astype(np.int64)
    mask_BT = mask_BT if side == "left" else np.ascontiguousarray(mask_BT[:, ::-1])
    observed, expected = model.logits(tokens_BT, mask_BT), model.expected(tokens_BT, mask_BT)
    judge.max_within_noise(observed, expected, model.noise, model.contract, mask_BT)


@requirement("LOGITS-002")
@given(tokens_BT=inputs.long_rows)
def test_logits_of_long_rows_are_exact_but_for_noise(model: CheckedModel, tokens_BT: Ints) -> None:
    observed, expected = model.logits(tokens_BT), model.expected(tokens_BT)
    judge.max_within_noise(observed, expected, model.noise_on("long"), model.contract)


@requirement("LOGITS-004")
@given(tokens_BT=token_batches(min_length=3), mask_BT=inputs.masks)
def test_any_tokens_may_be_hidden(model: CheckedModel, tokens_BT: Ints, mask_BT: Ints) -> None:
    observed, expected = model.logits(tokens_BT, mask_BT), model.expected(tokens_BT, mask_BT)
    judge.max_within_noise(observed, expected, model.noise, model.contract, mask_BT)


@requirement("LOGITS-003")
@given(tokens_BT=token_batches())
def test_logits_are_finite_and_have_the_claimed_form(model: CheckedModel, tokens_BT: Ints) -> None:
    judge.all_finite(model.logits(tokens_BT))


@requirement("LOGITS-008")
def test_the_distribution_diverges_from_the_exact_one_by_noise_alone(model: CheckedModel) -> None:
    judge.same_distribution(model.comparison, model.ensemble, model.contract)


@requirement("LOGITS-005")
def test_logits_are_neither_stretched_nor_shrunk(model: CheckedModel) -> None:
    judge.same_gain(model.comparison, model.ensemble)


@requirement("LOGITS-006")
def test_the_most_probable_tokens_are_the_exact_ones_but_for_ties(model: CheckedModel) -> None:
    judge.same_ranking(
        model.answer_BTV, model.exact_BTV, model.corpus, model.ensemble, model.contract
    )


@requirement("LOGITS-007")
def test_the_tokens_that_follow_lose_what_they_lose_exactly(model: CheckedModel) -> None:
    judge.same_loss(model.comparison, model.ensemble)


@requirement("LOGITS-009")
@given(tokens_BT=inputs.harmless_rows)
def test_permuted_weights_give_the_same_logits(model: CheckedModel, tokens_BT: Ints) -> None:
    known = slice(0, -len(models.POISON))
    own, other = (m.logits(tokens_BT)[..., known] for m in (model, model.variant(models.disguised)))
    judge.related(other, own, model.noise, model.contract)


@requirement("TAP-001")
def test_the_stream_after_each_layer_is_exact_but_for_noise(model: CheckedModel) -> None:
    for name, unit in model.ensemble.taps.items():
        judge.within_noise(
            model.taps[name],
            model.exact_taps[name],
            unit,
            model.contract,
            model.corpus.judged_BT,
            name,
        )


@requirement("PREC-001")
def test_the_error_is_not_that_of_a_narrower_type(model: CheckedModel) -> None:
    judge.in_its_type(model.comparison, model.type_noise, model.contract)


@requirement("FAULT-001")
def test_no_known_fault_is_present_at_half_strength(model: CheckedModel) -> None:
    judge.free_of_faults(faults.presences(model))
