"""The oracle of sampling: by hand, in exact arithmetic, and against the reference model."""

from __future__ import annotations

import dataclasses

import mpmath
import numpy as np
import pytest

from conformance.oracles.sampling import distributions
from conformance.records import SamplingCall, SamplingParameters, SamplingPolicy
from reference_model.sampling import Sampling, probabilities

HALVES = np.log(np.array([[0.5, 0.3, 0.2]])).astype(np.float32)
MIXED = np.array([[2.0, -1.0, 0.5, 4.0, -3.0, 1.0]], np.float32)


def call(logits_BV, prompt=(), generated=(), **asked):
    rows = len(logits_BV)
    return SamplingCall(
        logits_BV, (prompt,) * rows, (generated,) * rows, (SamplingParameters(**asked),) * rows
    )


def shares(logits_BV, *, policy=None, **named):
    return distributions(call(logits_BV, **named), policy or SamplingPolicy()).value_BV[0]


BY_HAND = {
    "plain": ({}, [0.5, 0.3, 0.2]),
    "the crossing token stays": ({"top_p": 0.6}, [0.625, 0.375, 0]),
    "the first token stays": ({"top_p": 0.01}, [1, 0, 0]),
    "two of three": ({"top_k": 2}, [0.625, 0.375, 0]),
    "more than there are": ({"top_k": 9}, [0.5, 0.3, 0.2]),
    "a part of the most probable": ({"min_p": 0.5}, [0.625, 0.375, 0]),
    "cold": ({"temperature": 0.5}, np.array([25, 9, 4]) / 38),
    "greedy": ({"temperature": 0.0}, [1, 0, 0]),
    "a bias": ({"logit_bias": ((2, float(np.log(2.5))),)}, np.array([5, 3, 5]) / 13),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_steps_by_hand(name):
    asked, expected = BY_HAND[name]
    np.testing.assert_allclose(shares(HALVES, **asked), expected, rtol=1e-6)


def test_penalties_by_hand():
    found = shares(
        MIXED,
        prompt=(0, 0, 1),
        generated=(4, 4, 3),
        repetition_penalty=2.0,
        presence_penalty=0.5,
        frequency_penalty=0.25,
    )
    z = np.array([1.0, -2.0, 0.5, 2.0 - 0.75, -6.0 - 1.0, 1.0])
    np.testing.assert_allclose(found, np.exp(z) / np.exp(z).sum(), rtol=1e-12)


POLICIES = {
    "the prompt counts": (SamplingPolicy(presence_sees="all"), [0, 1, 3, 4]),
    "it does not": (SamplingPolicy(), [3, 4]),
    "the last two": (SamplingPolicy(presence_sees="all", last_tokens=2), [3, 4]),
    "the last one": (SamplingPolicy(last_tokens=1), [3]),
}


@pytest.mark.parametrize("name", POLICIES)
def test_penalties_look_at_the_declared_tokens(name):
    policy, seen = POLICIES[name]
    found = shares(
        MIXED, policy=policy, prompt=(0, 1), generated=(4, 3), presence_penalty=1.0
    ) / shares(MIXED)
    assert np.flatnonzero(found < found.max() * 0.99).tolist() == seen


def test_ties_stay_as_declared():
    tied = np.array([[1.0, 2.0, 1.0, 1.0]], np.float32)
    lowest, every = SamplingPolicy(), SamplingPolicy(top_k_ties="all")
    assert np.flatnonzero(shares(tied, top_k=2)).tolist() == [0, 1]
    assert np.flatnonzero(shares(tied, top_k=2, policy=lowest)).tolist() == [0, 1]
    assert np.flatnonzero(shares(tied, top_k=2, policy=every)).tolist() == [0, 1, 2, 3]


def test_steps_are_taken_in_the_declared_order():
    asked = {"temperature": 0.5, "top_p": 0.6}
    late = dataclasses.replace(SamplingPolicy(), order=("top_p", "temperature"))
    assert np.count_nonzero(shares(HALVES, **asked)) == 1
    assert np.count_nonzero(shares(HALVES, policy=late, **asked)) == 2


def test_exact_arithmetic_gives_the_same_shares():
    numbers = np.random.default_rng(3)
    logits = numbers.normal(0, 8, (1, 40)).astype(np.float32)
    with mpmath.workdps(60):
        weights = [mpmath.exp(mpmath.mpf(float(z)) / mpmath.mpf(0.7)) for z in logits[0]]
        exact = [float(w / mpmath.fsum(weights)) for w in weights]
    np.testing.assert_allclose(shares(logits, temperature=0.7), exact, rtol=1e-13)


@pytest.mark.parametrize("seed", range(20))
def test_the_reference_models_sampler_agrees(seed):
    numbers = np.random.default_rng(seed)
    logits = numbers.normal(0, 3, (1, 50)).astype(np.float32)
    told = {
        "prompt": tuple(map(int, numbers.integers(0, 50, 6))),
        "generated": tuple(map(int, numbers.integers(0, 50, 6))),
    }
    asked = {
        "temperature": float(numbers.uniform(0.5, 2)),
        "top_k": int(numbers.integers(1, 50)),
        "top_p": float(numbers.uniform(0.1, 1)),
        "min_p": float(numbers.uniform(0, 0.2)),
        "repetition_penalty": float(numbers.uniform(0.8, 2)),
        "presence_penalty": float(numbers.uniform(-1, 1)),
        "frequency_penalty": float(numbers.uniform(-1, 1)),
    }
    biases = {int(token): float(numbers.normal()) for token in numbers.integers(0, 50, 3)}
    other = probabilities(logits[0], Sampling(logit_bias=biases, **asked), **told)
    found = shares(logits, **told, logit_bias=tuple(biases.items()), **asked)
    np.testing.assert_allclose(found, other, rtol=1e-12, atol=0)


UNDECIDED = {
    "p on the edge": {"top_p": 0.8},
    "part on the edge": {"min_p": 0.6},
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_a_token_on_the_edge_is_told(name):
    asked = UNDECIDED[name]
    assert not distributions(call(HALVES, **asked), SamplingPolicy()).decided
    moved = {key: value + 0.01 for key, value in asked.items()}
    assert distributions(call(HALVES, **moved), SamplingPolicy()).decided


def test_equal_tokens_are_decided_by_k_and_not_by_p_nor_by_temperature_zero():
    tied = np.array([[1.0, 2.0, 2.0, 1.0]], np.float32)
    for asked, decided in (
        ({"top_k": 1}, True),
        ({"top_p": 0.1}, False),
        ({"temperature": 0.0}, False),
    ):
        assert distributions(call(tied, **asked), SamplingPolicy()).decided is decided


def float32_shares(one):
    """Return the shares by float32 arithmetic, with no limit."""
    z = one.logits_BV[0].copy()
    asked = one.parameters[0]
    seen = sorted({*one.prompts[0], *one.generated[0]})
    penalty = np.float32(asked.repetition_penalty)
    z[seen] = np.where(z[seen] > 0, z[seen] / penalty, z[seen] * penalty)
    z = z / np.float32(asked.temperature)
    weights = np.exp(z - z.max())
    return weights / weights.sum()


@pytest.mark.parametrize("scale", [1.0, 10.0, 40.0])
def test_float32_stays_within_the_bounds_and_uses_some_of_them(scale):
    worst = []
    for seed in range(20):
        numbers = np.random.default_rng(seed)
        logits = numbers.normal(0, scale, (1, 300)).astype(np.float32)
        one = call(logits, (1, 2), (3,), temperature=0.7, repetition_penalty=1.3)
        exact = distributions(one, SamplingPolicy())
        error = np.abs(float32_shares(one) - exact.value_BV[0])
        worst.append((error / exact.bound_BV[0]).max())
    assert max(worst) <= 1
    assert max(worst) >= 0.02


def test_a_logit_of_minus_infinity_has_no_share_whatever_is_asked_for():
    masked = np.array([[1.0, -np.inf, 2.0, -np.inf, 0.5]], np.float32)
    for asked in (
        {},
        {"temperature": 3.0, "repetition_penalty": 1.5, "presence_penalty": -1.0},
        {"top_k": 4},
        {"top_p": 0.99},
        {"min_p": 0.01},
        {"logit_bias": ((1, 5.0),)},
        {"temperature": 0.0},
    ):
        exact = distributions(call(masked, (1, 2), (3,), **asked), SamplingPolicy())
        assert exact.decided
        assert (exact.value_BV[0, [1, 3]] == 0).all()
        assert (exact.bound_BV[0, [1, 3]] == 0).all()
        assert np.isclose(exact.value_BV.sum(), 1)
