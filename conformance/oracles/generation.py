"""What greedy generation has to be: where a row ends, and what the exact model says of its tokens.

A continuation is judged by its own tokens: the exact model is given the prompt and what was added
to it, in one pass, and says of each token how probable it was behind the ones before it. So an
excused change of a token, a tie within the noise, changes nothing for those that follow.

Shape letters: B batch, T tokens, V vocabulary, N added tokens of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.operators.softmax import log_softmax, log_softmax_bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from conformance.records import Continuation, Contract, GenerationRequest

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

RUNNING = ""
"""A row that has not come to an end."""


@dataclass(frozen=True)
class Forced:
    """Prompts with what was added to them, as one pass takes them: flush left."""

    ids_BT: Ints
    mask_BT: Ints
    places: tuple[tuple[int, int, int], ...]
    """Of each added token: its row, the place whose logits it was chosen from, and its id."""


@dataclass(frozen=True)
class Choices:
    """What the exact model says of the added tokens."""

    gap_N: Array
    """How far the logit of each is below the largest; 0 where it is the most probable."""
    margin_N: Array
    """How far the second largest logit is below the largest."""
    logprob_N: Array
    """Logarithm of its probability."""
    bound_N: Array
    """How far that may be off where the logits are exact."""
    where: tuple[str, ...]
    """Row and place, in words."""


def forced(prompts: Sequence[Sequence[int]], found: Sequence[Continuation]) -> Forced:
    """Return the batch that tells what each added token should have been."""
    rows = [(*p, *one.tokens[:-1]) for p, one in zip(prompts, found, strict=True)]
    ids_BT = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask_BT = np.zeros_like(ids_BT)
    for row, tokens in enumerate(rows):
        ids_BT[row, : len(tokens)] = tokens
        mask_BT[row, : len(tokens)] = 1
    places = tuple(
        (row, len(prompt) - 1 + i, token)
        for row, (prompt, one) in enumerate(zip(prompts, found, strict=True))
        for i, token in enumerate(one.tokens)
    )
    return Forced(ids_BT, mask_BT, places)


def choices(batch: Forced, exact_BTV: Array, contract: Contract) -> Choices:
    """Return what exact logits (B, T, V) say of the added tokens."""
    told = [_choice(exact_BTV[row, place], token, contract) for row, place, token in batch.places]
    gap, margin, logprob, bound = np.array(told).reshape(-1, 4).T
    where = tuple(f"row {row}, behind token {place}" for row, place, _ in batch.places)
    return Choices(gap, margin, logprob, bound, where)


def _choice(exact_V: Array, token: int, contract: Contract) -> tuple[float, float, float, float]:
    second, first = np.partition(exact_V, -2)[-2:]
    logprob = float(log_softmax(exact_V)[token])
    bound = float(log_softmax_bound(exact_V, contract)[token])
    return float(first - exact_V[token]), float(first - second), logprob, bound


def ending(tokens: Sequence[int], request: GenerationRequest, before: Sequence[int] = ()) -> str:
    """Return how a row ends behind these added tokens: ``stop``, ``length``, or not yet.

    Args:
        tokens: what was added so far.
        request: what was asked.
        before: the prompt, where a stop sequence may begin in it.
    """
    row = (*before, *tokens)
    stopped = any(stop and row[-len(stop) :] == tuple(stop) for stop in request.stop_sequences)
    if tokens and (tokens[-1] in request.eos_ids or stopped):
        return "stop"
    return "length" if len(tokens) >= request.max_new_tokens else RUNNING


def wrong_endings(request: GenerationRequest, found: Sequence[Continuation]) -> Iterator[str]:
    """Yield, in words, each row that ends elsewhere, or for another reason, than was asked.

    Whether a stop sequence may begin in the prompt is left to the implementation: Transformers
    looks at the whole row, vLLM at what was added.
    """
    for prompt, one in zip(request.prompts, found, strict=True):
        wrong = _wrong_ending(one, request, ())
        if wrong and _wrong_ending(one, request, prompt):
            yield wrong


def _wrong_ending(one: Continuation, request: GenerationRequest, before: Sequence[int]) -> str:
    for count in range(len(one.tokens)):
        if why := ending(one.tokens[:count], request, before):
            return f"a row of {len(one.tokens)} tokens goes on behind token {count} ({why})"
    right = ending(one.tokens, request, before)
    if right == one.finish:
        return ""
    return f"a row says {one.finish} behind token {len(one.tokens)}: {right or 'it has no end'}"
