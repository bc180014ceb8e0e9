"""The key/value cache. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel, CheckedSession

    Array = NDArray[Any]
    Case = Mapping[str, Any]
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
@given(tokens_BT=token_batches(min_length=2), mask_BT=inputs.masks, places=inputs.splits)
def test_steps_of_padded_rows_give_the_logits_of_one_pass(
    model: CheckedModel, tokens_BT: Ints, mask_BT: Ints, places: list[int]
) -> None:
    at_BT = np.maximum(np.cumsum(mask_BT, axis=1) - 1, 0)
    whole = model.logits(tokens_BT, mask_BT, at_BT)
    session = model.start(tokens_BT.shape[0])
    steps = [
        session.append(tokens_BT[:, start:end], mask_BT[:, :end].copy(), at_BT[:, start:end].copy())
        for start, end in zip([0, *places], [*places, tokens_BT.shape[1]], strict=True)
    ]
    judge.related(np.concatenate(steps, axis=1), whole, model.noise, model.contract, mask_BT)


@requirement("CACHE-001")
@given(tokens_BT=token_batches(min_length=2), cut=inputs.crops, later_BT=inputs.later_tokens)
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


@requirement("CACHE-001")
@given(tokens_BT=inputs.long_rows, places=inputs.splits)
def test_steps_of_long_rows_give_the_logits_of_one_pass(
    model: CheckedModel, tokens_BT: Ints, places: list[int]
) -> None:
    steps, whole = _fed(model, tokens_BT, places), model.logits(tokens_BT)
    judge.related(steps, whole, model.noise_on("long"), model.contract)


@requirement("CACHE-002")
@given(tokens_BT=token_batches(min_length=2), at_BT=inputs.position_gaps, places=inputs.splits)
def test_a_step_takes_the_positions_that_it_is_given(
    model: CheckedModel, tokens_BT: Ints, at_BT: Ints, places: list[int]
) -> None:
    session = model.start(tokens_BT.shape[0])
    steps = [
        session.append(tokens, np.ones_like(tokens_BT[:, :end]), at_BT[:, start:end].copy())
        for start, end in zip([0, *places], [*places, tokens_BT.shape[1]], strict=True)
        for tokens in [tokens_BT[:, start:end]]
    ]
    whole = model.logits(tokens_BT, at_BT=at_BT)
    judge.related(np.concatenate(steps, axis=1), whole, model.noise, model.contract)


@requirement("CACHE-003")
@given(tokens_BT=token_batches(min_length=3), cut=inputs.cuts, rest_BT=inputs.later_tokens)
def test_a_step_may_hide_tokens_of_the_step_before(
    model: CheckedModel, tokens_BT: Ints, cut: int, rest_BT: Ints
) -> None:
    # Nothing that stays visible has seen what is hidden: one pass in which it always was is equal.
    whole_BT = np.concatenate([tokens_BT, rest_BT], axis=1)
    mask_BS = np.ones_like(whole_BT)
    mask_BS[:, cut : tokens_BT.shape[1]] = 0
    at_BT = np.maximum(np.cumsum(mask_BS, axis=1) - 1, 0)
    session = model.start(tokens_BT.shape[0])
    session.append(*_step(tokens_BT, 0, tokens_BT.shape[1]))
    after = session.append(rest_BT, mask_BS, at_BT[:, tokens_BT.shape[1] :].copy())
    before = model.logits(whole_BT, mask_BS, at_BT)[:, tokens_BT.shape[1] :]
    judge.related(after, before, model.noise, model.contract)


@requirement("CACHE-004")
@given(tokens_BT=token_batches(min_length=2), cut=inputs.cuts, others_BT=inputs.pad_tokens)
def test_sessions_of_one_model_take_turns_and_do_not_meet(
    model: CheckedModel, tokens_BT: Ints, cut: int, others_BT: Ints
) -> None:
    length = tokens_BT.shape[1]
    both = [(model.start(rows_BT.shape[0]), rows_BT) for rows_BT in (tokens_BT, others_BT)]
    for session, rows_BT in both:
        session.append(*_step(rows_BT, 0, cut))
    for session, rows_BT in both:
        after = session.append(*_step(rows_BT, cut, length))
        judge.related(after, model.logits(rows_BT)[:, cut:], model.noise, model.contract)


@requirement("CACHE-005")
@given(2, tokens_BT=inputs.rows_of_two_pages)
def test_a_row_may_be_split_at_every_place(model: CheckedModel, tokens_BT: Ints) -> None:
    whole, length = model.logits(tokens_BT), tokens_BT.shape[1]
    ways = [[cut] for cut in range(1, length)] + [list(range(1, length))]
    for places in ways:
        steps = _fed(model, tokens_BT, places)
        judge.related(steps, whole, model.noise, model.contract)


@requirement("CACHE-006")
@given(2, tokens_BT=inputs.wrapping_rows)
def test_a_prompt_in_chunks_gives_the_logits_of_one_pass(
    model: CheckedModel, case: Case, tokens_BT: Ints
) -> None:
    places = list(range(case["tokens"], tokens_BT.shape[1], case["tokens"]))
    steps, whole = _fed(model, tokens_BT, places), model.logits(tokens_BT)
    judge.related(steps, whole, model.noise_on("long"), model.contract)


@requirement("CACHE-007")
@given(12, pool_BT=inputs.pools, program=inputs.programs)
def test_a_session_goes_on_as_the_tokens_that_it_holds(
    model: CheckedModel, pool_BT: Ints, program: list[tuple[str, int]]
) -> None:
    pool = _Pool(pool_BT)
    current = _Held(model.start(2), pool_BT[:2, :0])
    all_of_them = [current]
    for kind, number in [("append", 5), *program]:
        if kind == "append":
            _goes_on(model, current, pool, number)
        elif kind == "crop":
            current.crop(number % (current.ids_BS.shape[1] + 1))
        elif kind == "reorder":
            batch = current.ids_BS.shape[0]
            current.reorder([(number // (i + 1)) % batch for i in range(1 + number % 4)])
        else:
            current = current.copy()
            all_of_them.append(current)
    for held in all_of_them:
        _goes_on(model, held, pool, 3)


_STEPS = (64, 32, 16, 8, 4, 2, 1)
"""Tokens of a step: from one step to 64."""


@requirement("CACHE-008")
@given(2, tokens_BT=inputs.steady_rows)
def test_the_error_of_a_row_does_not_grow_with_its_steps(
    model: CheckedModel, tokens_BT: Ints
) -> None:
    exact, length = model.expected(tokens_BT), tokens_BT.shape[1]
    ways = [_fed(model, tokens_BT, list(range(step, length, step))) for step in _STEPS]
    levels = [np.square(way.astype(np.float64) - exact) for way in ways]
    judge.without_trend(levels, model.noise, "the number of steps")


class _Pool:
    """Tokens that nobody has been fed yet."""

    def __init__(self, ids_BT: Ints) -> None:
        self._ids_BT = ids_BT

    def take(self, batch: int, tokens: int) -> Ints:
        """Return other tokens than before, (B, T); from the beginning when all were taken."""
        taken_BT = self._ids_BT[:batch, :tokens]
        self._ids_BT = np.roll(self._ids_BT, -tokens, axis=1)
        return taken_BT


class _Held:
    """A session, and the tokens that it holds if it is right, (B, S)."""

    def __init__(self, session: CheckedSession, ids_BS: Ints) -> None:
        self.session, self.ids_BS = session, ids_BS

    def copy(self) -> _Held:
        return _Held(self.session.copy(), self.ids_BS)

    def crop(self, length: int) -> None:
        self.session.crop(length)
        self.ids_BS = self.ids_BS[:, :length]

    def reorder(self, rows: list[int]) -> None:
        self.session.reorder(rows)
        self.ids_BS = self.ids_BS[rows]


def _goes_on(model: CheckedModel, held: _Held, pool: _Pool, tokens: int) -> None:
    """Feed a session, and judge its answer by a pass over all that it holds then."""
    batch, before = held.ids_BS.shape
    held.ids_BS = np.concatenate([held.ids_BS, pool.take(batch, tokens)], axis=1)
    after = held.session.append(*_step(held.ids_BS, before, before + tokens))
    whole = model.logits(held.ids_BS)
    judge.related(after, whole[:, before:], model.noise_on("long"), model.contract)


def _fed(model: CheckedModel, tokens_BT: Ints, places: list[int]) -> Array:
    """Return the logits of unpadded rows that are fed in steps which begin at these places."""
    session = model.start(tokens_BT.shape[0])
    steps = [
        session.append(*_step(tokens_BT, start, end))
        for start, end in zip([0, *places], [*places, tokens_BT.shape[1]], strict=True)
    ]
    return np.concatenate(steps, axis=1)


def _step(tokens_BT: Ints, start: int, end: int) -> tuple[Ints, Ints, Ints]:
    """Return tokens, mask and positions of unpadded rows' tokens from ``start`` to ``end``."""
    at_BT = np.broadcast_to(np.arange(start, end), (tokens_BT.shape[0], end - start)).copy()
    return tokens_BT[:, start:end], np.ones_like(tokens_BT[:, :end]), at_BT
