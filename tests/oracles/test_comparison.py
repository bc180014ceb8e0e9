"""What an answer is compared by, token by token, against plain formulas on small cases."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.oracles.comparison import compare, followers
from conformance.oracles.corpus import Corpus

RNG = np.random.default_rng(5)
IDS = RNG.integers(0, 9, (2, 5))
MASK = np.array([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
CORPUS = Corpus(IDS, MASK, np.zeros_like(IDS))
EXACT = RNG.normal(size=(2, 5, 9)) * 2
JUDGED = MASK != 0


def probabilities(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_errors_and_divergences_are_those_of_the_formulas():
    answer = (EXACT + 0.1 * RNG.normal(size=EXACT.shape)).astype(np.float32)
    found = compare(answer, EXACT, CORPUS)
    error = answer.astype(np.float64) - EXACT
    assert found.rms == pytest.approx(np.sqrt(np.mean(error[JUDGED] ** 2)))
    assert found.largest == np.abs(error[JUDGED]).max()
    p, q = probabilities(EXACT), probabilities(answer.astype(np.float64))
    expected = (p * np.log(p / q)).sum(-1)[JUDGED]
    assert np.allclose(found.divergence_N, expected, rtol=1e-9)
    assert (found.divergence_N > 0).all()


def test_an_unjudged_token_counts_nowhere():
    answer = EXACT.copy()
    answer[1, 0] = 1e6
    found = compare(answer, EXACT, CORPUS)
    assert found.largest == found.rms == found.divergence == 0


def test_losses_are_of_the_token_that_follows():
    assert followers(CORPUS).tolist() == [[*IDS[0, 1:], -1], [-1, -1, *IDS[1, 3:], -1]]
    answer = EXACT.copy()
    answer[0, 2, IDS[0, 3]] -= 1.0
    found = compare(answer, EXACT, CORPUS)
    p, q = probabilities(EXACT)[0, 2], probabilities(answer)[0, 2]
    assert found.loss_N[2] == pytest.approx(np.log(p[IDS[0, 3]] / q[IDS[0, 3]]))
    assert np.isnan(found.loss_N[[4, 7]]).all()
    assert found.loss == pytest.approx(found.loss_N[2] / 6)


def test_a_temperature_is_a_gain():
    assert compare(1.02 * EXACT, EXACT, CORPUS).gain.value == pytest.approx(0.02)
    shifted = compare(EXACT + 3.0, EXACT, CORPUS)
    assert shifted.gain.value == pytest.approx(0, abs=1e-12)
    assert shifted.divergence == pytest.approx(0, abs=1e-12)


def test_nan_is_found_by_every_statistic():
    answer = EXACT.copy()
    answer[0, 1, 3] = np.nan
    found = compare(answer, EXACT, CORPUS)
    assert np.isnan([found.rms, found.largest, found.divergence, found.gain.value]).all()
