"""Statistical judges: how often they fail what is right, and notice what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from conformance import evidence, judge
from conformance.errors import Nonconformity, SpecError
from conformance.judge import frequencies, sampling
from conformance.oracles.sampling import Distributions
from drawing import FAULTS, NULLS, SHARES, fate, tilted, tokens

REPEATED = 200
POWERFUL = 60
SURE = 1e-3


def lowest(hits, of):
    """Return the least chance that such a count does not contradict (Clopper and Pearson 1934)."""
    return 0.0 if hits == 0 else float(special.betaincinv(hits, of - hits + 1, SURE))


@pytest.mark.parametrize("name", NULLS)
def test_a_first_look_rejects_what_is_right_no_more_often_than_it_says(name):
    fates = [fate(name, NULLS[name], seed) for seed in range(REPEATED)]
    assert not any(failed for _, failed in fates)
    assert lowest(sum(rejected for rejected, _ in fates), REPEATED) <= sampling.SCREEN


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, faults in FAULTS.items() for fault in faults]
)
def test_what_is_wrong_by_the_promised_distance_is_failed(name, fault):
    failed = sum(fate(name, FAULTS[name][fault], seed)[1] for seed in range(POWERFUL))
    assert failed / POWERFUL >= 0.95


def test_the_hardest_shares_lie_at_their_distance():
    for distance in (0.02, 0.1):
        assert np.isclose(np.abs(tilted(distance) - SHARES).sum() / 2, distance)
        assert np.isclose(tilted(distance).sum(), 1)


@pytest.mark.parametrize(
    ("alpha", "cells", "distance", "draws"),
    [(1e-3, 16, 0.1, 1380), (1e-5, 64, 0.02, 69461), (1e-5, 1024, 0.005, 3364288)],
)
def test_draws_for_a_power_are_those_of_the_noncentral_distribution(alpha, cells, distance, draws):
    found = frequencies.draws_for(cells - 1, alpha, distance, 0.99)
    assert found == draws
    assert frequencies.power(found, cells - 1, alpha, distance) >= 0.99
    assert frequencies.power(found - 2, cells - 1, alpha, distance) < 0.99


def test_both_looks_together_have_the_promised_power():
    for freedom in (1, 4, 9, 31):
        first = frequencies.draws_for(freedom, sampling.SCREEN, sampling.DISTANCE, sampling.POWER)
        second = frequencies.power(
            sampling.MORE * first, freedom, sampling.RETEST, sampling.DISTANCE
        )
        assert sampling.POWER * second >= 0.99


def test_cells_hold_enough_and_every_token_that_can_be_drawn():
    shares = np.array([0.5, 0.0, 0.2, 0.1, 0.1, 0.06, 0.03, 0.01])
    cells = frequencies.cells_of(shares, 8)
    assert cells.tolist() == [0, -1, 1, 2, 2, 2, 2, 2]
    uniform = np.full(1000, 1e-3)
    held = np.bincount(frequencies.cells_of(uniform))
    assert held.min() >= 1000 / frequencies.CELLS
    assert len(held) <= frequencies.CELLS


def test_what_moves_between_rare_tokens_of_like_shares_is_noticed():
    """Of every four tokens that follow each other by their shares, the first alone comes."""
    shares = np.full(256, 1 / 256)
    shares += np.linspace(1e-4, -1e-4, 256)

    def draw(draws):
        return np.random.default_rng(5).choice(256, (1, draws), p=shares) // 4 * 4

    with pytest.raises(Nonconformity), evidence.collect():
        judge.as_often(draw, shares[None])


def test_a_token_that_cannot_be_drawn_fails_every_goodness_of_fit():
    for wrong in (-1, 10, 99):
        drawn = np.array([0, 1, wrong])
        assert (
            frequencies.goodness(drawn, SHARES, frequencies.cells_of(SHARES), "row 0").statistic
            == np.inf
        )


def test_a_distribution_in_one_cell_is_no_test():
    with pytest.raises(SpecError, match="one cell"):
        judge.as_often(lambda draws: np.zeros((1, draws), np.int64), np.array([[1.0, 0.0]]))


def test_a_rejected_look_is_drawn_afresh_and_decides_alone():
    numbers, looks = np.random.default_rng(1), []

    def unlucky_once(draws):
        looks.append(draws)
        return tokens(numbers, draws, SHARES if len(looks) > 1 else tilted(0.1))[None]

    with evidence.collect() as sink:
        judge.as_often(unlucky_once, SHARES[None])
    assert looks[1] == 4 * looks[0]
    assert [m.count for m in sink.measurements] == looks[1:]
    assert any(
        "0.02 between them would have been noticed with a probability of 0.99" in n
        for n in sink.notes
    )


def shares(value, bound=1e-7, *, decided=True):
    value_BV = np.array([value])
    return Distributions(value_BV, np.where(value_BV > 0, bound, 0.0), decided)


def test_shares_within_their_bounds_pass():
    judge.same_shares(np.array([[0.75, 0.25, 0.0]], np.float32), shares([0.75, 0.25, 0.0]))


@pytest.mark.parametrize(
    "observed",
    [[0.75, 0.25, 1e-30], [1.0, 0.0, 0.0], [0.7501, 0.2499, 0.0], [np.nan, 0.25, 0.0],
     [0.75, 0.25, np.nan]],
)  # fmt: skip
def test_another_support_other_shares_and_nan_fail(observed):
    with pytest.raises(Nonconformity):
        judge.same_shares(np.array([observed], np.float32), shares([0.75, 0.25, 0.0]))


def test_a_token_on_the_edge_of_a_limit_is_never_judged():
    with pytest.raises(SpecError, match="edge"):
        judge.same_shares(np.array([[1.0]], np.float32), shares([1.0], decided=False))
