"""The candidate's continuations as a check sees them: guarded, and checked for their form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence
from conformance.candidate import method_of
from conformance.checked.form import guarded
from conformance.errors import MalformedOutput, Refused
from conformance.records import FINISHES, Continuation

if TYPE_CHECKING:
    from conformance.checked.model import CheckedModel
    from conformance.records import GenerationRequest

_HOLDS = "a Continuation holds tokens, finish and, where they are asked for, logprobs"


def generate(model: CheckedModel, request: GenerationRequest) -> tuple[Continuation, ...]:
    """Ask the candidate for the continuation of each prompt of a request that it may not refuse."""
    what = model.named("generate")
    candidate = model.candidate
    answer = guarded(what, lambda: method_of(candidate, "generate")(request))
    found = _formed(what, answer, request, model.vocab)
    for one in found:
        _keep(one, model)
    return found


def generate_or_refuse(
    model: CheckedModel, request: GenerationRequest
) -> tuple[Continuation, ...] | None:
    """Ask for what the candidate may refuse; return None where it does."""
    try:
        return generate(model, request)
    except Refused:
        return None


def _keep(one: Continuation, model: CheckedModel) -> None:
    """Keep an answer for who compares it with a mutant's: tokens exactly, the rest to the noise."""
    told = np.array([FINISHES.index(one.finish), *one.tokens], np.int64)
    evidence.answered(told, lambda array: np.zeros(array.shape))
    if one.logprobs is not None:
        evidence.answered(np.array(one.logprobs), lambda _: np.asarray(2 * model.noise.max))


def _formed(
    what: str, answer: Any, request: GenerationRequest, vocab: int
) -> tuple[Continuation, ...]:
    if not isinstance(answer, list | tuple) or len(answer) != len(request.prompts):
        got = f"{len(answer)} rows" if isinstance(answer, list | tuple) else type(answer).__name__
        raise MalformedOutput(
            f"{what} answered {got}; wanted a list of {len(request.prompts)} continuations"
        )
    return tuple(_formed_row(what, row, one, request, vocab) for row, one in enumerate(answer))


def _formed_row(
    what: str, row: int, one: Any, request: GenerationRequest, vocab: int
) -> Continuation:
    if not isinstance(one, Continuation):
        raise MalformedOutput(f"{what}: row {row} is a {type(one).__name__}; {_HOLDS}")
    tokens = _ints(one.tokens)
    if tokens is None or not all(0 <= token < vocab for token in tokens):
        raise MalformedOutput(f"{what}: row {row} has other tokens than ids from 0 to {vocab - 1}")
    if one.finish not in FINISHES:
        raise MalformedOutput(
            f"{what}: row {row} ended by {one.finish!r}; there are {' and '.join(FINISHES)}"
        )
    if not request.logprobs:
        return Continuation(tokens, one.finish)
    given = _floats(one.logprobs if one.logprobs is not None else ())
    if given is None or len(given) != len(tokens):
        got = "something else than" if given is None else len(given)
        raise MalformedOutput(
            f"{what}: row {row} has {got} log-probabilities of {len(tokens)} tokens"
        )
    return Continuation(tokens, one.finish, given)


def _floats(values: Any) -> tuple[float, ...] | None:
    """Return plain numbers; None where a value is something else."""
    if not isinstance(values, list | tuple):
        return None
    kinds = int | float | np.integer | np.floating
    real = (isinstance(v, kinds) and not isinstance(v, bool) for v in values)
    return tuple(float(v) for v in values) if all(real) else None


def _ints(values: Any) -> tuple[int, ...] | None:
    """Return plain integers; None where a value is something else."""
    if not isinstance(values, list | tuple):
        return None
    whole = (isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values)
    return tuple(int(v) for v in values) if all(whole) else None
