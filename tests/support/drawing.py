"""Draws whose law is known, to measure how often a statistical judge fails them.

Each law is a function of a generator and of how many draws are wanted. The faulty ones lie at the
least distance that their judge promises to notice, where such a law is easy to make, or beyond.
B rows, N draws.
"""

from __future__ import annotations

import numpy as np

from conformance import evidence, judge
from conformance.errors import Nonconformity
from conformance.judge import sampling

SHARES = np.array([0.34, 0.22, 0.14, 0.1, 0.07, 0.05, 0.04, 0.02, 0.01, 0.01])
OUTSIDE = np.concatenate([SHARES, [0.0]])
_MIXED = sampling.DISTANCE / (1 - np.sum(SHARES**2))
"""How often one token is a copy of another where the two are at the least distance."""


def tokens(numbers, draws, shares=SHARES):
    return np.searchsorted(np.cumsum(shares)[:-1], numbers.random(draws), side="right")


def tilted(distance):
    """Return shares at a total variation from the honest ones that is the hardest to notice."""
    order = np.argsort(-SHARES, kind="stable")
    sign = np.zeros(len(SHARES))
    sign[order[::2]], sign[order[1::2]] = 1, -1
    more, less = SHARES[sign > 0].sum(), SHARES[sign < 0].sum()
    return SHARES * np.where(sign > 0, 1 + distance / more, 1 - distance / less)


def one_row(law):
    return lambda numbers, draws: law(numbers, draws)[None]


def honest(numbers, draws):
    return tokens(numbers, draws)


def off_by(distance):
    return lambda numbers, draws: tokens(numbers, draws, tilted(distance))


def hotter(numbers, draws):
    warm = SHARES ** (1 / 1.15)
    return tokens(numbers, draws, warm / warm.sum())


def without_the_end(numbers, draws):
    return np.searchsorted(np.cumsum(SHARES)[:-1], 0.95 * numbers.random(draws), side="right")


def repeating(often):
    """Return a law in which the second of two draws copies the first so often."""

    def law(numbers, draws):
        found = tokens(numbers, draws)
        copied = numbers.random(draws) < often
        copied[::2] = False
        return np.where(copied, np.roll(found, 1), found)

    return law


def antithetic(numbers, draws):
    uniform = numbers.random(draws)
    uniform[1::2] = 1 - uniform[: draws // 2 * 2 : 2]
    return np.searchsorted(np.cumsum(SHARES)[:-1], uniform, side="right")


def never_twice(numbers, draws):
    found, fresh = tokens(numbers, draws), tokens(numbers, draws)
    return np.where(found == np.roll(found, 1), fresh, found)


def two_rows(often, later=0):
    """Return a law in which a second row copies the first so often, some draws later."""

    def law(numbers, draws):
        one = tokens(numbers, draws + later)
        other = tokens(numbers, draws)
        copied = numbers.random(draws) < often
        return np.stack([one[later:], np.where(copied, one[:draws], other)])

    return law


def leaking(often):
    def law(numbers, draws):
        return np.where(numbers.random(draws) < often, len(SHARES), tokens(numbers, draws))

    return law


NULLS = {
    "in_support": one_row(honest),
    "as_often": one_row(honest),
    "over_seeds": one_row(honest),
    "independent_steps": one_row(honest),
    "independent_rows": two_rows(0.0),
    "independent_seeds": two_rows(0.0),
}
FAULTS = {
    "in_support": {
        "leaks 1e-3": one_row(leaking(sampling.LEAK)),
        "leaks 2e-3": one_row(leaking(2 * sampling.LEAK)),
        "leaks 0.1": one_row(leaking(0.1)),
    },
    "as_often": {
        "total variation 0.02": one_row(off_by(sampling.DISTANCE)),
        "temperature 1.15 for 1": one_row(hotter),
        "the last 5 % never": one_row(without_the_end),
    },
    "over_seeds": {
        "total variation 0.1": one_row(off_by(sampling.BETWEEN_SEEDS)),
        "total variation 0.15": one_row(off_by(0.15)),
        "the last 5 % never": one_row(without_the_end),
    },
    "independent_steps": {
        "repeats, total variation 0.02": one_row(repeating(_MIXED)),
        "antithetic": one_row(antithetic),
        "never the same twice": one_row(never_twice),
    },
    "independent_rows": {
        "copies, total variation 0.02": two_rows(_MIXED),
        "copies one draw later, total variation 0.02": two_rows(_MIXED, later=1),
        "the same draw": two_rows(1.0),
    },
    "independent_seeds": {
        "copies, total variation 0.02": two_rows(_MIXED),
        "copies one draw later, total variation 0.02": two_rows(_MIXED, later=1),
        "the same draw": two_rows(1.0),
    },
}


def fate(name, law, seed):
    """Return what a judge makes of a law: whether a first look rejected it, and the second too."""
    numbers = np.random.default_rng(seed)
    looks = []

    def draw(draws):
        looks.append(draws)
        return law(numbers, draws)

    with evidence.collect():
        try:
            _judged(name, draw)
        except Nonconformity:
            return True, True
    return len(looks) > 1, False


def _judged(name, draw):
    if name == "in_support":
        judge.in_support(draw, OUTSIDE[None])
    elif name == "independent_rows":
        judge.independent_rows(draw, np.stack([SHARES, SHARES]))
    elif name == "independent_seeds":
        judge.independent_seeds(_of_two_seeds(draw), SHARES)
    else:
        getattr(judge, name)(draw, SHARES[None])


def _of_two_seeds(draw):
    """Return the draws of two seeds, of which the judge asks one after the other."""
    kept = []

    def first(draws):
        both = draw(draws)
        kept.append(both[1:])
        return both[:1]

    return [first, lambda _: kept.pop()]
