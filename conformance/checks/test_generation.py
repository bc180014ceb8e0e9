"""Greedy generation: tokens, ends, log-probabilities, batches of unequal rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import judge
from conformance.checked.generation import generate, generate_or_refuse
from conformance.checks import requirement
from conformance.inputs import generation, given
from conformance.oracles.closed_form import FORMS
from conformance.oracles.generation import Choices, choices, forced
from conformance.records import Continuation, GenerationRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.checked import CheckedModel

    Rows = list[list[int]]

_NEW = generation.NEW
_BATCHES = 8
"""Each holds up to four rows of up to twenty tokens, and all of them are judged."""
_MANY = 96
"""Tokens that the planted models are let add: what repeats after 64 comes around again."""


@requirement("GEN-001")
@given(_BATCHES, prompts=generation.prompts, new=generation.new_tokens)
def test_each_added_token_is_the_most_probable_one(
    model: CheckedModel, prompts: Rows, new: int
) -> None:
    _judged(model, _request(prompts, new))


@requirement("GEN-001")
@given(_BATCHES, prompts=generation.known_texts)
def test_text_is_continued_with_the_most_probable_tokens(
    model: CheckedModel, prompts: Rows
) -> None:
    told = _choices(model, prompts, generate(model, _request(prompts, _NEW)))
    judge.chosen_greedily(told, model.noise_on("text"), model.contract)


@requirement("GEN-002")
@given(_BATCHES, prompts=generation.prompts, new=generation.new_tokens)
def test_as_many_tokens_are_added_as_are_allowed(
    model: CheckedModel, prompts: Rows, new: int
) -> None:
    request = _request(prompts, new)
    judge.ends_as_asked(request, generate(model, request))


@requirement("GEN-002")
@given(_BATCHES, prompts=generation.prompts)
def test_where_no_token_is_allowed_none_is_added(model: CheckedModel, prompts: Rows) -> None:
    request = _request(prompts, 0)
    found = generate_or_refuse(model, request)
    if found is None:
        judge.refused(found)
    else:
        judge.ends_as_asked(request, found)


@requirement("GEN-003")
@given(_BATCHES, prompts=generation.prompts, picks=generation.picks)
def test_a_row_ends_with_the_first_token_that_ends_it(
    model: CheckedModel, prompts: Rows, picks: list[int]
) -> None:
    free = generate(model, _request(prompts, _NEW))
    ends = tuple(dict.fromkeys(_at(one, at) for one, at in zip(free, picks, strict=True)))
    request = GenerationRequest(_frozen(prompts), _NEW, eos_ids=ends)
    judge.ends_as_asked(request, _judged(model, request))


@requirement("GEN-004")
@given(_BATCHES, prompts=generation.prompts, spans=generation.spans)
def test_a_row_ends_where_a_stop_sequence_is_complete(
    model: CheckedModel, prompts: Rows, spans: list[list[int]]
) -> None:
    free = generate(model, _request(prompts, _NEW))
    stops = tuple(dict.fromkeys(_span(one, *span) for one, span in zip(free, spans, strict=True)))
    request = GenerationRequest(_frozen(prompts), _NEW, stop_sequences=stops)
    judge.ends_as_asked(request, _judged(model, request))


@requirement("GEN-004")
@given(_BATCHES, prompts=generation.prompts, spans=generation.spans)
def test_a_row_does_not_end_where_a_stop_sequence_only_begins(
    model: CheckedModel, prompts: Rows, spans: list[list[int]]
) -> None:
    free = generate(model, _request(prompts, _NEW))
    begun = [_span(one, *span) for one, span in zip(free, spans, strict=True)]
    stops = tuple((*span, (span[-1] + 1) % model.vocab) for span in begun)
    request = GenerationRequest(_frozen(prompts), _NEW, stop_sequences=stops)
    judge.ends_as_asked(request, _judged(model, request))


@requirement("GEN-005")
@given(_BATCHES, prompts=generation.ragged_prompts, picks=generation.picks)
def test_rows_of_any_lengths_are_continued_as_each_would_be_alone(
    model: CheckedModel, prompts: Rows, picks: list[int]
) -> None:
    # The exact model is given the rows padded behind, where no token sees it; the first ends early.
    free = _judged(model, _request(prompts, _NEW))
    request = GenerationRequest(_frozen(prompts), _NEW, eos_ids=(_at(free[0], picks[0]),))
    judge.ends_as_asked(request, _judged(model, request))


@requirement("GEN-006")
@given(_BATCHES, prompts=generation.single_tokens, new=generation.new_tokens)
def test_a_prompt_of_one_token_is_continued_and_not_returned(
    model: CheckedModel, prompts: Rows, new: int
) -> None:
    request = _request(prompts, new)
    judge.ends_as_asked(request, _judged(model, request))


@requirement("GEN-007")
@given(_BATCHES, prompts=generation.prompts, new=generation.new_tokens)
def test_an_empty_prompt_is_refused_or_begins_a_text(
    model: CheckedModel, prompts: Rows, new: int
) -> None:
    request = _request([*prompts, []], new)
    found = generate_or_refuse(model, request)
    begin = model.package.config.get("bos_token_id")
    if found is None or begin is None:
        judge.refused(found)
    else:
        judge.ends_as_asked(request, found)
        told = _choices(model, [*prompts, [begin]], found)
        judge.chosen_greedily(told, model.noise, model.contract)


@requirement("GEN-008")
@given(_BATCHES, prompts=generation.prompts, new=generation.new_tokens)
def test_returned_log_probabilities_are_those_of_the_raw_distribution(
    model: CheckedModel, prompts: Rows, new: int
) -> None:
    request = GenerationRequest(_frozen(prompts), new, logprobs=True)
    found = generate(model, request)
    told = _choices(model, prompts, found)
    judge.same_logprobs(told, found, model.noise, model.contract)


@requirement("GEN-008")
@given(_BATCHES, prompts=generation.known_texts)
def test_returned_log_probabilities_of_text_are_exact_on_average(
    model: CheckedModel, prompts: Rows
) -> None:
    request = GenerationRequest(_frozen(prompts), _NEW, logprobs=True)
    found = generate(model, request)
    told = _choices(model, prompts, found)
    judge.same_logprobs_of_text(told, found, model.noise_on("text"), model.contract)


@requirement("GEN-009")
@given(_BATCHES, prompts=generation.too_long)
def test_a_prompt_that_is_too_long_is_refused_or_read_as_a_whole(
    model: CheckedModel, prompts: Rows
) -> None:
    request = GenerationRequest(_frozen(prompts), 1, logprobs=True)
    found = generate_or_refuse(model, request)
    if found is None:
        judge.refused(found)
        return
    told = _choices(model, prompts, found)
    judge.chosen_greedily(told, model.noise_on("long"), model.contract)
    judge.same_logprobs(told, found, model.noise_on("long"), model.contract)


@requirement("GEN-010")
@given(1, prompts=generation.reaching_prompts)
def test_added_tokens_are_those_of_the_closed_form(model: CheckedModel, prompts: Rows) -> None:
    request = _request(prompts, _MANY)
    found = generate(model, request)
    batch = forced(prompts, found)
    answer = FORMS[model.package.name].answer(batch.ids_BT, batch.mask_BT, model.contract)
    judge.ends_as_asked(request, found)
    judge.chosen_by_closed_form(batch, answer)


def _judged(model: CheckedModel, request: GenerationRequest) -> Sequence[Continuation]:
    """Ask for continuations and judge their tokens, whatever their ends."""
    found = generate(model, request)
    judge.chosen_greedily(_choices(model, request.prompts, found), model.noise, model.contract)
    return found


def _choices(
    model: CheckedModel, prompts: Sequence[Sequence[int]], found: Sequence[Continuation]
) -> Choices:
    batch = forced(prompts, found)
    return choices(batch, model.expected(batch.ids_BT, batch.mask_BT), model.contract)


def _request(prompts: Rows, new: int) -> GenerationRequest:
    return GenerationRequest(_frozen(prompts), new)


def _frozen(prompts: Rows) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, prompts))


def _at(one: Continuation, place: int) -> int:
    """Return an added token; the last where there are fewer, and any where there are none."""
    return one.tokens[min(place, len(one.tokens) - 1)] if one.tokens else 0


def _span(one: Continuation, start: int, length: int) -> tuple[int, ...]:
    """Return some of the added tokens that follow each other."""
    start = min(start, max(0, len(one.tokens) - length))
    return one.tokens[start : start + length] or (0,)
