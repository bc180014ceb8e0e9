"""Long contexts: far positions by offset, long rows in chunks. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance import judge, models
from conformance.checks import requirement
from conformance.oracles.corpus import CHUNK, PROMPT, prompt_with_steps, telling_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel
    from conformance.oracles.corpus import Corpus

    Array = NDArray[Any]


@requirement("LONG-001")
def test_tokens_at_far_positions_are_exact_but_for_noise(model: CheckedModel) -> None:
    corpus = models.corpus_named("far", model.package)
    observed, expected = model.logits(*corpus.inputs), model.expected(*corpus.inputs)
    unit = model.noise_on("far")
    judge.within_noise(observed, expected, unit, model.contract, corpus.judged_BT)


@requirement("LONG-002")
def test_every_token_of_a_long_prompt_is_exact_but_for_noise(model: CheckedModel) -> None:
    corpus = models.corpus_named("longest", model.package)
    length = corpus.input_ids_BT.shape[1]
    ends = [*range(CHUNK, length, CHUNK), length]
    observed = np.concatenate([*_fed(model, corpus, ends)], axis=1)
    expected = model.expected(*corpus.inputs)
    judge.within_noise(observed, expected, model.noise_on("longest"), model.contract)


@requirement("LONG-003")
def test_telling_tokens_of_a_prompt_of_32768_and_of_steps_behind_it_are_exact_but_for_noise(
    model: CheckedModel,
) -> None:
    corpus, places_N = prompt_with_steps(model.vocab), telling_places()
    length = corpus.input_ids_BT.shape[1]
    ends = [*range(CHUNK, PROMPT + 1, CHUNK), *range(PROMPT + 1, length + 1)]
    told, start = [], 0
    for answer_BTV, end in zip(_fed(model, corpus, ends), ends, strict=True):
        own_N = places_N[(places_N >= start) & (places_N < end)]
        told.append(answer_BTV[:, own_N - start].copy())  # the rest of the answer is let go
        start = end
    observed, expected = np.concatenate(told, axis=1), model.oracle.logits_at(corpus, places_N)
    unit = model.oracle.unit_at(corpus, places_N, model.contract)
    judge.within_noise(observed, expected, unit, model.contract)


def _fed(model: CheckedModel, corpus: Corpus, ends: Sequence[int]) -> Iterator[Array]:
    """Yield the logits of a row that is fed in steps, each to the next of the ends."""
    ids_BT, mask_BT, at_BT = corpus.inputs
    session, start = model.start(len(ids_BT)), 0
    for end in ends:
        yield session.append(ids_BT[:, start:end], mask_BT[:, :end], at_BT[:, start:end])
        start = end
