"""Two candidates against fp64 and against each other. B batch, T tokens, S tokens so far."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import inputs, judge, models
from conformance.checks import requirement
from conformance.inputs import given, token_batches
from conformance.inputs.operators.activations import functions
from conformance.inputs.operators.attention import attentions
from conformance.inputs.operators.linear import lookups
from conformance.inputs.operators.losses import losses
from conformance.inputs.operators.norms import normalisations
from conformance.inputs.operators.pairs import for_both, of_each
from conformance.inputs.operators.rotary import rotations
from conformance.inputs.operators.softmax import rows_of_logits
from conformance.judge import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel, CheckedOperators
    from conformance.records import NoiseUnit, OperatorCall

    Array = NDArray[Any]
    Case = Mapping[str, Any]
    Ints = NDArray[np.int64]


@requirement("EQUIV-001")
def test_logits_of_both_on_the_frozen_corpus_are_exact_but_for_noise(
    model: CheckedModel, other_model: CheckedModel
) -> None:
    sides = _on_the_corpus(model), _on_the_corpus(other_model)
    judge.both_within_noise(sides, model.corpus.attention_mask_BT)


@requirement("EQUIV-001")
def test_logits_of_both_on_the_frozen_long_rows_are_exact_but_for_noise(
    model: CheckedModel, other_model: CheckedModel
) -> None:
    corpus = models.corpus_named("long", model.package)

    def side(m: CheckedModel) -> Side:
        logits, exact = m.logits(*corpus.inputs), m.expected(*corpus.inputs)
        return _side(m, logits, exact, m.noise_on("long"))

    judge.both_within_noise((side(model), side(other_model)), corpus.attention_mask_BT)


@requirement("EQUIV-002")
@given(tokens_BT=token_batches(), paddings_B=inputs.paddings, side=inputs.sides)
def test_logits_of_both_on_any_batch_are_exact_but_for_noise(
    model: CheckedModel, other_model: CheckedModel, tokens_BT: Ints, paddings_B: Ints, side: str
) -> None:
    mask_BT = (np.arange(tokens_BT.shape[1]) >= paddings_B[:, None]).astype(np.int64)
    mask_BT = mask_BT if side == "left" else np.ascontiguousarray(mask_BT[:, ::-1])

    def answered(m: CheckedModel) -> Side:
        return _side(m, m.logits(tokens_BT, mask_BT), m.expected(tokens_BT, mask_BT), m.noise)

    judge.both_max_within_noise((answered(model), answered(other_model)), mask_BT)


@requirement("EQUIV-003")
def test_both_choose_the_same_tokens_but_for_ties(
    model: CheckedModel, other_model: CheckedModel
) -> None:
    sides = _on_the_corpus(model), _on_the_corpus(other_model)
    judge.same_decisions(sides, model.corpus)


@requirement("EQUIV-004")
@given(tokens_BT=token_batches(min_length=2), places=inputs.splits)
def test_steps_of_both_through_the_cache_are_exact_but_for_noise(
    model: CheckedModel, other_model: CheckedModel, tokens_BT: Ints, places: list[int]
) -> None:

    def side(m: CheckedModel) -> Side:
        return _side(m, _in_steps(m, tokens_BT, places), m.expected(tokens_BT), m.noise)

    judge.both_max_within_noise((side(model), side(other_model)))


@requirement("EQUIV-005")
def test_the_streams_of_both_after_each_layer_are_exact_but_for_noise(
    model: CheckedModel, other_model: CheckedModel
) -> None:

    def side(m: CheckedModel, name: str) -> Side:
        return _side(m, m.taps[name], m.exact_taps[name], m.ensemble.taps[name])

    for name in model.exact_taps:
        sides = side(model, name), side(other_model, name)
        judge.both_within_noise(sides, model.corpus.judged_BT, name)


@requirement("EQUIV-006")
@given(call=for_both(lookups))
def test_both_look_up_the_same_rows(
    operators: CheckedOperators, other_operators: CheckedOperators, call: OperatorCall
) -> None:
    _both_compute(operators, other_operators, call)


@requirement("EQUIV-007")
@given(call=for_both(attentions))
def test_both_attend_alike(
    operators: CheckedOperators, other_operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _both_compute(operators, other_operators, call)


@requirement("EQUIV-008")
@given(call=for_both(partial(rows_of_logits, operator="Softmax")))
def test_both_make_the_same_probabilities(
    operators: CheckedOperators, other_operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _both_compute(operators, other_operators, call)


@requirement("EQUIV-009")
@given(call=for_both(partial(rows_of_logits, operator="LogSoftmax")))
def test_both_make_the_same_log_probabilities(
    operators: CheckedOperators, other_operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _both_compute(operators, other_operators, call)


@requirement("EQUIV-010")
@given(call=for_both(normalisations))
def test_both_normalise_alike(
    operators: CheckedOperators, other_operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _both_compute(operators, other_operators, call)


@requirement("EQUIV-011")
@given(call=for_both(rotations))
def test_both_turn_pairs_by_the_same_angles(
    operators: CheckedOperators, other_operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _both_compute(operators, other_operators, call)


@requirement("EQUIV-012")
@given(call=for_both(partial(losses, reduction="mean")))
def test_both_find_the_same_loss(
    operators: CheckedOperators, other_operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _both_compute(operators, other_operators, call)


@requirement("EQUIV-013")
@given(call=for_both(partial(functions, operator="Swish")))
def test_both_activate_alike(
    operators: CheckedOperators, other_operators: CheckedOperators, case: Case, call: OperatorCall
) -> None:
    _both_compute(operators, other_operators, call)


def _both_compute(
    operators: CheckedOperators, other_operators: CheckedOperators, call: OperatorCall
) -> None:
    one, other = of_each(call, operators, other_operators)
    judge.both_within_bounds(
        (operators.who, other_operators.who),
        (operators.compute(one), other_operators.compute(other)),
        (operators.expected(one), other_operators.expected(other)),
    )


def _on_the_corpus(model: CheckedModel) -> Side:
    return _side(model, model.answer_BTV, model.exact_BTV, model.noise)


def _side(model: CheckedModel, observed: Array, expected: Array, unit: NoiseUnit) -> Side:
    scale_N = model.ensemble.scale_N
    return Side(model.who, observed, expected, unit, model.contract, scale_N)


def _in_steps(model: CheckedModel, tokens_BT: Ints, places: list[int]) -> Array:
    """Return logits of unpadded rows, fed to a session in steps that end at these places."""
    rows, length = tokens_BT.shape
    session, steps = model.start(rows), []
    for start, end in zip([0, *places], [*places, length], strict=True):
        seen_BS = np.ones((rows, end), np.int64)
        at_BT = np.tile(np.arange(start, end), (rows, 1))
        steps.append(session.append(tokens_BT[:, start:end], seen_BS, at_BT))
    return np.concatenate(steps, axis=1)
