from __future__ import annotations

import numpy as np
import pytest

from reference_model.sampling import Sampler, Sampling, penalised, probabilities

LOGITS = np.log([0.1, 0.4, 0.2, 0.2, 0.1])
MIXED = np.array([2.0, -1.0, 0.0, 4.0, -3.0])


DISTRIBUTIONS = {
    "plain": (Sampling(), [0.1, 0.4, 0.2, 0.2, 0.1]),
    "cold": (Sampling(temperature=0.5), np.square([0.1, 0.4, 0.2, 0.2, 0.1]) / 0.26),
    "of equals the smaller id": (Sampling(top_k=2), [0, 2 / 3, 1 / 3, 0, 0]),
    "k beyond the vocabulary": (Sampling(top_k=9), [0.1, 0.4, 0.2, 0.2, 0.1]),
    "the crossing token stays": (Sampling(top_p=0.5), [0, 2 / 3, 1 / 3, 0, 0]),
    "at least one token": (Sampling(top_p=1e-9), [0, 1, 0, 0, 0]),
    "all": (Sampling(top_p=1.0), [0.1, 0.4, 0.2, 0.2, 0.1]),
    "a part of the most probable": (Sampling(min_p=0.4), [0, 0.5, 0.25, 0.25, 0]),
    "a bias": (Sampling(logit_bias={0: np.log(4.0)}), np.array([4, 4, 2, 2, 1]) / 13),
    # Of (0.5, 0.25, 0.25) that top-k leaves, 0.7 needs two; of the whole it would need three.
    "top-k before top-p": (Sampling(top_k=3, top_p=0.7), [0, 2 / 3, 1 / 3, 0, 0]),
    # Cold, the first token has 0.615; warm, 0.6 would need two.
    "temperature first": (Sampling(temperature=0.5, top_p=0.6), [0, 1, 0, 0, 0]),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_distribution_follows_the_declared_steps(name):
    sampling, expected = DISTRIBUTIONS[name]
    p_V = probabilities(LOGITS, sampling)
    np.testing.assert_allclose(p_V, expected, rtol=1e-12, atol=0)


def test_a_cut_token_is_never_drawn_and_the_others_are_by_their_shares():
    sampling = Sampling(top_k=3, seed=1)
    sampler = Sampler(sampling, [[]])
    drawn = np.bincount([sampler(0, LOGITS) for _ in range(4000)], minlength=5) / 4000
    assert drawn[[0, 4]].tolist() == [0, 0]
    assert np.abs(drawn - probabilities(LOGITS, sampling)).max() < 0.03  # 4 standard errors


def test_seeds_and_rows_have_streams_of_their_own():
    flat = np.zeros(1000)
    draws = {
        (seed, row): [s(row, flat) for _ in range(5)]
        for seed in (1, 2)
        for s in [Sampler(Sampling(seed=seed), [[], []])]
        for row in (0, 1)
    }
    assert len(set(map(tuple, draws.values()))) == 4


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0.0}, {"temperature": float("nan")}, {"top_k": 0}, {"top_p": 0.0},
     {"top_p": 1.5}, {"seed": -1}, {"min_p": -0.1}, {"repetition_penalty": 0.0}],
)  # fmt: skip
def test_a_sampling_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)


def test_a_p_of_one_drops_nothing_however_improbable_it_is():
    logits = np.array([0.0, -50.0, -60.0])
    assert (probabilities(logits, Sampling(top_p=1.0)) > 0).all()


def test_repetition_makes_seen_tokens_less_probable_whatever_their_sign_is():
    found = penalised(MIXED, Sampling(repetition_penalty=2.0), prompt=[0, 0, 1], generated=[2, 4])
    assert found.tolist() == [1.0, -2.0, 0.0, 4.0, -6.0]


def test_presence_counts_once_and_frequency_each_time_of_what_was_generated():
    sampling = Sampling(presence_penalty=0.5, frequency_penalty=0.25)
    found = penalised(MIXED, sampling, prompt=[0, 0], generated=[3, 3, 1])
    assert found.tolist() == [2.0, -1.75, 0.0, 3.0, -3.0]


def test_a_sampler_remembers_what_each_row_drew():
    sampler = Sampler(Sampling(presence_penalty=1e9), [[0], [1]])
    drawn = [[sampler(row, np.zeros(5)) for _ in range(5)] for row in (0, 1)]
    assert [sorted(row) for row in drawn] == [[0, 1, 2, 3, 4]] * 2
    assert sampler.generated == drawn
