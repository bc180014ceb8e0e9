"""One token of one row at a time: no bit depends on the batch or on the steps."""

from __future__ import annotations

import numpy as np
import pytest

from conformance import models
from conformance.candidate import open_candidate

IDS = np.random.default_rng(0).integers(0, 512, (3, 9))


def step(session, ids_BT, start, end):
    at_BT = np.broadcast_to(np.arange(start, end), (len(ids_BT), end - start)).copy()
    return session.append(ids_BT[:, start:end], np.ones_like(ids_BT[:, :end]), at_BT)


@pytest.fixture(scope="module")
def candidate():
    with open_candidate("pytorch?invariant=true") as opened:
        yield opened


@pytest.fixture(scope="module")
def model(candidate):
    return candidate.load(models.suite_package("llama-mqa-tied"))


@pytest.fixture(scope="module")
def whole(model):
    return step(model.start(3), IDS, 0, 9)


def test_it_claims_what_it_keeps(candidate):
    promises = {"deterministic", "batch_invariant", "split_invariant"}
    assert candidate.info.claims.capabilities == promises | {"logits", "cache", "operators"}
    with open_candidate("pytorch") as plain:
        assert promises & plain.info.claims.capabilities == {"deterministic"}


def test_a_row_alone_has_the_bits_that_it_has_in_a_batch(model, whole):
    for row in range(3):
        assert np.array_equal(step(model.start(1), IDS[row : row + 1], 0, 9)[0], whole[row])


@pytest.mark.parametrize("cut", range(1, 9))
def test_steps_have_the_bits_of_one_pass(model, whole, cut):
    session = model.start(3)
    steps = [step(session, IDS, 0, cut), step(session, IDS, cut, 9)]
    assert np.array_equal(np.concatenate(steps, axis=1), whole)


def test_copies_crops_and_reorders_are_those_of_the_rows(model, whole):
    session = model.start(3)
    step(session, IDS, 0, 9)
    copied = session.copy()
    copied.crop(4)
    copied.reorder([2, 0, 0])
    assert np.array_equal(step(copied, IDS[[2, 0, 0]], 4, 9), whole[[2, 0, 0], 4:])
    session.crop(8)
    assert np.array_equal(step(session, IDS, 8, 9), whole[:, 8:])
