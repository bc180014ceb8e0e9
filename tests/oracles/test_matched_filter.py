"""The matched filter finds planted faults at their strength, and none in noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conformance.oracles.matched_filter import (
    Interval,
    Strength,
    honest_interval,
    strength,
    strengths,
)

TOKENS, WIDTH = 400, 30


def noise(seed, scale=1.0):
    """Return noise that is alike within a token, and differs in size from token to token."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(TOKENS, 1)) * rng.uniform(0.5, 2, size=(TOKENS, 1))
    return scale * (rng.normal(size=(TOKENS, WIDTH)) + common)


def direction(seed):
    return np.random.default_rng(1000 + seed).normal(size=(TOKENS, WIDTH))


@pytest.mark.parametrize("planted", [-1.0, 0.0, 0.3, 1.0, 9.9])
def test_a_planted_fault_is_found_at_its_strength(planted):
    fault = 0.01 * direction(0)
    found = strength(planted * fault + noise(1, 0.05), fault)
    assert abs(found.value - planted) < 5 * found.error
    assert found.tokens == TOKENS


def test_a_fault_below_the_noise_is_certain():
    fault = 0.02 * direction(0)
    found = strength(fault + noise(1), fault)
    assert np.std(fault) < 0.03 * np.std(noise(1))
    alone = strength(noise(1), fault)
    assert found.value == pytest.approx(1 + alone.value, abs=1e-12)


def test_the_standard_error_is_that_of_many_repetitions():
    fault = direction(0)
    found = [strength(noise(seed), fault) for seed in range(200)]
    values = np.array([one.value for one in found])
    told = math.sqrt(np.mean([one.error**2 for one in found]))
    assert told == pytest.approx(values.std(), rel=0.15)
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(len(values))


def test_four_times_the_tokens_halve_the_error():
    fault = direction(0)
    few, all_of_them = (strength(noise(3)[:n], fault[:n]) for n in (TOKENS // 4, TOKENS))
    assert few.error / all_of_them.error == pytest.approx(2, rel=0.25)
    assert few.tokens_for(0.1) == pytest.approx(all_of_them.tokens_for(0.1), rel=0.5)


def test_overlapping_faults_are_told_apart():
    one, other = direction(0), direction(0) + 0.3 * direction(1)
    residual = 0.5 * other + noise(2, 0.1)
    alone = strength(residual, one)
    together = strengths([(residual, [one, other])])
    assert alone.value > 0.3
    assert abs(together[0].value) < 5 * together[0].error
    assert abs(together[1].value - 0.5) < 5 * together[1].error


def test_blocks_give_what_the_whole_gives():
    faults, residual = [direction(0), direction(1)], noise(4)
    whole = strengths([(residual, faults)])
    halves = strengths(
        [(residual[s], [f[s] for f in faults]) for s in (slice(150), slice(150, None))]
    )
    for one, other in zip(whole, halves, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-12)
        assert one.error == pytest.approx(other.error, rel=1e-9)


def test_an_honest_interval_holds_further_honest_candidates_and_excludes_a_fault():
    fault = 0.5 * direction(0)
    honest = honest_interval([strength(noise(seed), fault) for seed in range(8)])
    assert honest.low <= 0 <= honest.high
    others = [strength(noise(seed), fault) for seed in range(100, 300)]
    assert not any(honest.clear_of(other) for other in others)
    assert honest.clear_of(strength(fault + noise(9), fault))
    assert honest.reach < 0.5


def test_a_biased_ensemble_moves_the_interval():
    biased = [Strength(0.4, 0.01, 100) for _ in range(4)]
    assert honest_interval(biased).high > 0.4
    assert honest_interval(biased).low == 0


def test_a_strength_of_nothing_is_surely_nothing():
    found = strength(np.zeros((TOKENS, WIDTH)), direction(0))
    assert (found.value, found.error) == (0, 0)
    assert not found.z > 0
    assert not Interval(0, 0).clear_of(found)


def test_what_cannot_be_told_is_refused():
    fault = direction(0)
    with pytest.raises(ValueError, match="depend on each other"):
        strengths([(noise(0), [fault, 2 * fault])])
    with pytest.raises(ValueError, match="depend on each other"):
        strength(noise(0), np.zeros((TOKENS, WIDTH)))
    with pytest.raises(ValueError, match="1 tokens"):
        strength(noise(0)[:1], fault[:1])
    with pytest.raises(ValueError, match="shape"):
        strength(noise(0), fault[:, 1:])
    with pytest.raises(ValueError, match="3 honest members"):
        honest_interval([Strength(0, 1, 10)] * 3)
