"""The key/value cache. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

    Ints = NDArray[np.int64]


@requirement("CACHE-001")
@given(tokens_BT=token_batches(min_length=2), places=inputs.splits)
def test_steps_through_the_cache_give_the_logits_of_one_pass(
    model: CheckedModel, tokens_BT: Ints, places: list[int]
) -> None:
    whole = model.logits(tokens_BT)
    session = model.start(tokens_BT.shape[0])
    at_BT = np.broadcast_to(np.arange(tokens_BT.shape[1]), tokens_BT.shape)
    for start, end in zip([0, *places], [*places, tokens_BT.shape[1]], strict=True):
        seen_BS = np.ones_like(tokens_BT[:, :end])
        step = session.append(tokens_BT[:, start:end], seen_BS, at_BT[:, start:end].copy())
        judge.related(step, whole[:, start:end], model.noise, model.contract)


@requirement("CACHE-001")
@given(tokens_BT=token_batches(min_length=2), paddings_B=inputs.paddings, places=inputs.splits)
def test_steps_of_padded_rows_give_the_logits_of_one_pass(
    model: CheckedModel, tokens_BT: Ints, paddings_B: Ints, places: list[int]
) -> None:
    mask_BT = (np.arange(tokens_BT.shape[1]) >= paddings_B[:, None]).astype(np.int64)
    at_BT = np.maximum(np.cumsum(mask_BT, axis=1) - 1, 0)
    whole = model.logits(tokens_BT, mask_BT, at_BT)
    session = model.start(tokens_BT.shape[0])
    steps = [
        session.append(tokens_BT[:, start:end], mask_BT[:, :end].copy(), at_BT[:, start:end].copy())
        for start, end in zip([0, *places], [*places, tokens_BT.shape[1]], strict=True)
    ]
    judge.related(np.concatenate(steps, axis=1), whole, model.noise, model.contract, mask_BT)


@requirement("CACHE-001")
@given(tokens_BT=token_batches(min_length=2), cut=inputs.cuts, later_BT=inputs.later_tokens)
def test_a_cropped_cache_goes_on_as_if_the_rest_had_not_been(
    model: CheckedModel, tokens_BT: Ints, cut: int, later_BT: Ints
) -> None:
    changed_BT = np.concatenate([tokens_BT[:, :cut], later_BT], axis=1)
    session = model.start(tokens_BT.shape[0])
    session.append(*_step(tokens_BT, 0, tokens_BT.shape[1]))
    session.crop(cut)
    after = session.append(*_step(changed_BT, cut, tokens_BT.shape[1]))
    judge.related(after, model.logits(changed_BT)[:, cut:], model.noise, model.contract)


@requirement("CACHE-001")
@given(tokens_BT=token_batches(min_length=2), cut=inputs.cuts, later_BT=inputs.later_tokens)
def test_a_copy_of_the_cache_and_its_original_go_on_apart(
    model: CheckedModel, tokens_BT: Ints, cut: int, later_BT: Ints
) -> None:
    length = tokens_BT.shape[1]
    original = model.start(tokens_BT.shape[0])
    original.append(*_step(tokens_BT, 0, cut))
    copied = original.copy()
    for session, rest_BT in ((copied, later_BT), (original, tokens_BT[:, cut:])):
        whole_BT = np.concatenate([tokens_BT[:, :cut], rest_BT], axis=1)
        after = session.append(*_step(whole_BT, cut, length))
        judge.related(after, model.logits(whole_BT)[:, cut:], model.noise, model.contract)


@requirement("CACHE-001")
@given(
    tokens_BT=token_batches(min_batch=2, max_batch=5, min_length=2),
    cut=inputs.cuts,
    rows_B=inputs.row_choices,
)
def test_reordered_rows_go_on_as_the_rows_that_they_were(
    model: CheckedModel, tokens_BT: Ints, cut: int, rows_B: Ints
) -> None:
    chosen_BT = tokens_BT[rows_B]
    session = model.start(tokens_BT.shape[0])
    session.append(*_step(tokens_BT, 0, cut))
    session.reorder(rows_B.tolist())
    after = session.append(*_step(chosen_BT, cut, tokens_BT.shape[1]))
    judge.related(after, model.logits(chosen_BT)[:, cut:], model.noise, model.contract)


def _step(tokens_BT: Ints, start: int, end: int) -> tuple[Ints, Ints, Ints]:
    """Return tokens, mask and positions of unpadded rows' tokens from ``start`` to ``end``."""
    at_BT = np.broadcast_to(np.arange(start, end), (tokens_BT.shape[0], end - start)).copy()
    return tokens_BT[:, start:end], np.ones_like(tokens_BT[:, :end]), at_BT
