"""Long contexts: far positions by offset, long rows in chunks. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance import judge, models
from conformance.checks import requirement

if TYPE_CHECKING:
    from conformance.checked import CheckedModel

_CHUNK = 512
"""Tokens of a chunk, so that what a candidate holds at a time stays small."""


@requirement("LONG-001")
def test_tokens_at_far_positions_are_exact_but_for_noise(model: CheckedModel) -> None:
    corpus = models.corpus_named("far", model.package)
    observed, expected = model.logits(*corpus.inputs), model.expected(*corpus.inputs)
    unit = model.noise_on("far")
    judge.within_noise(observed, expected, unit, model.contract, corpus.judged_BT)


@requirement("LONG-002")
def test_every_token_of_a_long_prompt_is_exact_but_for_noise(model: CheckedModel) -> None:
    corpus = models.corpus_named("longest", model.package)
    ids_BT, mask_BT, at_BT = corpus.inputs
    session = model.start(len(ids_BT))
    steps = []
    for start in range(0, ids_BT.shape[1], _CHUNK):
        end = min(start + _CHUNK, ids_BT.shape[1])
        own = (ids_BT[:, start:end], mask_BT[:, :end], at_BT[:, start:end])
        steps.append(session.append(*own))
    observed, expected = np.concatenate(steps, axis=1), model.expected(*corpus.inputs)
    judge.within_noise(observed, expected, model.noise_on("longest"), model.contract)
