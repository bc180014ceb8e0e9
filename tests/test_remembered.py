"""The latest answers of an oracle are kept, as many and as large as memory is spared for."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.checked import remembered
from conformance.checked.remembered import RememberedAnswers

ROWS = [np.array([[number]]) for number in range(5)]


@pytest.fixture
def asked():
    """Return rows in the order in which the oracle was asked for them."""
    return []


@pytest.fixture
def ask(asked):
    def answer(ids):
        asked.append(int(ids[0, 0]))
        return {"logits": ids * np.ones(100, np.float64)}

    return answer


@pytest.fixture
def answers(ask):
    return RememberedAnswers(None, ask)


def test_an_answer_is_computed_once(answers, asked):
    first = answers.of(ROWS[3])
    assert answers.of(ROWS[3]) is first
    assert asked == [3]


def test_the_latest_few_are_kept(ask, asked):
    answers = RememberedAnswers(None, ask, keep=2)
    for row in (*ROWS[:3], ROWS[1], ROWS[0]):
        answers.of(row)
    assert asked == [0, 1, 2, 0]


@pytest.mark.parametrize(("size", "kept"), [(0, 1), (800, 1), (1600, 2), (2399, 2), (3200, 4)])
def test_large_answers_are_fewer_but_for_the_latest(answers, asked, monkeypatch, size, kept):
    monkeypatch.setattr(remembered, "KEPT_BYTES", size)
    for row in (*ROWS, *ROWS[-kept:]):
        assert answers.of(row)["logits"].nbytes == 800
    assert asked == [0, 1, 2, 3, 4]
    answers.of(ROWS[-kept - 1])
    assert asked[5:] == [4 - kept]
