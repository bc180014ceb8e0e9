"""Faults of what generation answers: where rows end, what is returned of them, how probable it was.

A fault changes the request that the honest candidate is given, or what it answers.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Honest = Callable[..., Any]


def _cut(one: Any, count: int) -> Any:
    """Return a continuation's first tokens."""
    logprobs = None if one.logprobs is None else one.logprobs[:count]
    return dataclasses.replace(one, tokens=one.tokens[:count], logprobs=logprobs)


def _with_logprobs(found: Sequence[Any], change: Callable[[tuple[float, ...]], Any]) -> list[Any]:
    """Return continuations whose log-probabilities, where they have some, are changed."""
    return [
        one if one.logprobs is None else dataclasses.replace(one, logprobs=change(one.logprobs))
        for one in found
    ]


def _without_ends(request: Any) -> Any:
    return dataclasses.replace(request, eos_ids=(), stop_sequences=())


@mutant("generate", kills=("GEN-002",), bug="generic")
def one_token_too_many(honest: Honest, request: Any) -> Any:
    """One token more is added than is allowed."""
    return honest(dataclasses.replace(request, max_new_tokens=request.max_new_tokens + 1))


@mutant("generate", kills=("GEN-002",), bug="generic")
def one_token_too_few(honest: Honest, request: Any) -> Any:
    """One token less is added than is allowed, but for the first."""
    limit = max(request.max_new_tokens - 1, min(request.max_new_tokens, 1))
    return honest(dataclasses.replace(request, max_new_tokens=limit))


@mutant("generate", kills=("GEN-002",), bug="generic")
def no_token_means_one(honest: Honest, request: Any) -> Any:
    """Where no token is allowed, one is added."""
    return honest(dataclasses.replace(request, max_new_tokens=max(1, request.max_new_tokens)))


@mutant("generate", kills=("GEN-002",), bug="generic")
def prompt_counts_as_new_tokens(honest: Honest, request: Any) -> Any:
    """The tokens of the prompt count among those that may be added."""
    room = request.max_new_tokens
    found = honest(request)
    rows = zip(request.prompts, found, strict=True)
    return [_cut(one, max(1, room - len(prompt))) for prompt, one in rows]


@mutant("generate", kills=("GEN-002",), bug="generic")
def finish_is_always_stop(honest: Honest, request: Any) -> Any:
    """Every row says that an end was reached, whether or not one was."""
    return [dataclasses.replace(one, finish="stop") for one in honest(request)]


@mutant("generate", kills=("GEN-003",), bug="generic")
def eos_is_dropped(honest: Honest, request: Any) -> Any:
    """The token that ends a row is not returned."""
    return [
        _cut(one, len(one.tokens) - any(token in request.eos_ids for token in one.tokens[-1:]))
        for one in honest(request)
    ]


@mutant("generate", kills=("GEN-003", "GEN-005"), bug="generic")
def eos_ignored(honest: Honest, request: Any) -> Any:
    """No token ends a row."""
    return honest(dataclasses.replace(request, eos_ids=()))


@mutant("generate", kills=("GEN-003",), bug="generic")
def only_the_first_eos_ends(honest: Honest, request: Any) -> Any:
    """Of several tokens that end a row, only the first that is named does."""
    return honest(dataclasses.replace(request, eos_ids=request.eos_ids[:1]))


@mutant("generate", kills=("GEN-003",), bug="generic")
def eos_looked_for_in_the_first_row_alone(honest: Honest, request: Any) -> Any:
    """All rows go on until the first has ended; then all have."""
    first = honest(request)[0]
    found = honest(_without_ends(request))
    rest = [dataclasses.replace(_cut(one, len(first.tokens)), finish="stop") for one in found[1:]]
    return [first, *(rest if first.finish == "stop" else found[1:])]


@mutant("generate", kills=("GEN-003",), bug="generic")
def finished_rows_keep_writing(honest: Honest, request: Any) -> Any:
    """Rows that have ended are written on until the last has ended."""
    ended, found = honest(request), honest(_without_ends(request))
    longest = max(len(one.tokens) for one in ended)
    rows = zip(ended, found, strict=True)
    return [dataclasses.replace(_cut(long, longest), finish=one.finish) for one, long in rows]


@mutant("generate", kills=("GEN-003",), bug="generic")
def finished_rows_are_padded(honest: Honest, request: Any) -> Any:
    """Rows that have ended are filled with token 0 up to the length of the longest."""
    found = honest(request)
    longest = max(len(one.tokens) for one in found)
    return [_filled(one, longest, 0) for one in found]


@mutant("generate", kills=("GEN-003",), bug="generic")
def finished_rows_repeat_their_end(honest: Honest, request: Any) -> Any:
    """Rows that have ended are filled with the token that ended them up to the longest."""
    found = honest(request)
    longest = max(len(one.tokens) for one in found)
    return [_filled(one, longest, one.tokens[-1] if one.tokens else 0) for one in found]


def _filled(one: Any, length: int, token: int) -> Any:
    """Return a continuation with one token repeated behind it."""
    more = length - len(one.tokens)
    logprobs = None if one.logprobs is None else (*one.logprobs, *(0.0,) * more)
    return dataclasses.replace(one, tokens=one.tokens + (token,) * more, logprobs=logprobs)


@mutant("generate", kills=("GEN-003", "GEN-005"), bug="generic")
def first_end_ends_all_rows(honest: Honest, request: Any) -> Any:
    """As soon as one row has ended, all have."""
    found = honest(request)
    shortest = min(len(one.tokens) for one in found)
    return [_cut(one, shortest) for one in found]


@mutant("generate", kills=("GEN-004",), bug="lm-sys/FastChat#534")
def stop_sequences_of_one_token_alone(honest: Honest, request: Any) -> Any:
    """A stop sequence that is spread over several tokens is not found."""
    short = tuple(stop for stop in request.stop_sequences if len(stop) == 1)
    return honest(dataclasses.replace(request, stop_sequences=short))


@mutant("generate", kills=("GEN-004",), bug="generic")
def stop_sequences_of_whole_characters_alone(honest: Honest, request: Any) -> Any:
    """Stop sequences are looked for in text, where one that cuts a character is not found."""
    whole = tuple(stop for stop in request.stop_sequences if _is_text(stop))
    return honest(dataclasses.replace(request, stop_sequences=whole))


def _is_text(tokens: Sequence[int]) -> bool:
    try:
        bytes(tokens).decode()
    except ValueError:  # a part of a character, or a token that is no byte
        return False
    return True


@mutant("generate", kills=("GEN-004",), bug="generic")
def stop_sequences_end_where_they_begin(honest: Honest, request: Any) -> Any:
    """A row ends with the first two tokens of a longer stop sequence."""
    begun = tuple(stop[:2] for stop in request.stop_sequences)
    return honest(dataclasses.replace(request, stop_sequences=begun))


@mutant("generate", kills=("GEN-004",), bug="generic")
def stop_sequences_are_dropped(honest: Honest, request: Any) -> Any:
    """The stop sequence that ended a row is not returned."""
    return [_cut(one, len(one.tokens) - _stopped_by(one, request)) for one in honest(request)]


def _stopped_by(one: Any, request: Any) -> int:
    """Return the length of the stop sequence that a row ends with; 0 where it ends with none."""
    ends = (stop for stop in request.stop_sequences if one.tokens[-len(stop) :] == stop)
    return max(map(len, ends), default=0)


@mutant("generate", kills=("GEN-004",), bug="generic")
def only_the_first_stop_sequence(honest: Honest, request: Any) -> Any:
    """Of several stop sequences, only the first is looked for."""
    return honest(dataclasses.replace(request, stop_sequences=request.stop_sequences[:1]))


@mutant("generate", kills=("GEN-004",), bug="generic")
def stop_sequences_read_as_a_set(honest: Honest, request: Any) -> Any:
    """Each token of a stop sequence ends a row."""
    tokens = {token for stop in request.stop_sequences for token in stop}
    return honest(dataclasses.replace(request, stop_sequences=tuple((t,) for t in sorted(tokens))))


@mutant("generate", kills=("GEN-001", "GEN-006"), bug="generic")
def prompt_is_echoed(honest: Honest, request: Any) -> Any:
    """The prompt is returned with what was added to it."""
    rows = zip(request.prompts, honest(request), strict=True)
    return [
        dataclasses.replace(
            one,
            tokens=(*prompt, *one.tokens),
            logprobs=None if one.logprobs is None else (*(0.0 for _ in prompt), *one.logprobs),
        )
        for prompt, one in rows
    ]


@mutant("generate", kills=("GEN-005",), bug="generic")
def continuations_in_the_order_of_lengths(honest: Honest, request: Any) -> Any:
    """Rows are answered in the order of their prompts' lengths, as they were batched."""
    found = honest(request)
    order = sorted(range(len(found)), key=lambda row: len(request.prompts[row]))
    return [found[row] for row in order]


@mutant("generate", kills=("GEN-008",), bug="generic")
def logprobs_of_the_next_token(honest: Honest, request: Any) -> Any:
    """Each token is given the log-probability of the one behind it."""
    return _with_logprobs(honest(request), lambda given: (*given[1:], *given[:1]))


@mutant("generate", kills=("GEN-008",), bug="ggml-org/llama.cpp#27972")
def logprobs_are_zero(honest: Honest, request: Any) -> Any:
    """The log-probability of every token is 0."""
    return _with_logprobs(honest(request), lambda given: (0.0,) * len(given))


@mutant("generate", kills=("GEN-008",), bug="generic")
def logprobs_to_base_2(honest: Honest, request: Any) -> Any:
    """Log-probabilities are logarithms to base 2."""
    return _with_logprobs(honest(request), lambda given: tuple(x / math.log(2) for x in given))


@mutant("generate", kills=("GEN-008",), bug="PrimeIntellect-ai/prime-rl#697")
def logprobs_divided_by_a_temperature(honest: Honest, request: Any) -> Any:
    """Log-probabilities, and not logits, are divided by a temperature of 0.7."""
    return _with_logprobs(honest(request), lambda given: tuple(x / 0.7 for x in given))


@mutant("generate", kills=("GEN-008",), bug="generic")
def logprobs_add_up(honest: Honest, request: Any) -> Any:
    """Each token is given the log-probability of the whole row up to it."""
    return _with_logprobs(honest(request), lambda given: tuple(np.cumsum(given).tolist()))


@mutant("generate", kills=("GEN-008",), bug="generic")
def logprobs_are_probabilities(honest: Honest, request: Any) -> Any:
    """Probabilities are returned for their logarithms."""
    return _with_logprobs(honest(request), lambda given: tuple(math.exp(x) for x in given))


@mutant("generation.log_probability", kills=("GEN-008",), bug="vllm-project/vllm#9453")
def logprobs_of_processed_logits(honest: Honest, logits_V: Any, token: int) -> Any:
    """Log-probabilities are those among the fifty most probable tokens, at a temperature of 0.7."""
    smallest = np.sort(logits_V)[-50:][0]
    return honest(np.where(logits_V >= smallest, logits_V / 0.7, -np.inf), token)


@mutant("generation.log_probability", kills=("GEN-008",), bug="generic")
def logprobs_are_logits(_: Honest, logits_V: Any, token: int) -> Any:
    """The logit of a token is returned for its log-probability."""
    return float(logits_V[token])
