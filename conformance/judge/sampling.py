"""Distributions, number by number, and draws from them, by tests whose size and power are known.

A statistical test looks twice. What a first look at ``SCREEN`` rejects is drawn afresh, four times
as often, and judged at ``RETEST``: an honest candidate is failed once in 10^8 tests, so that a run
of up to 10^4 of them stays below 1e-4. Of several statistics in one look the largest is held
against its share of alpha, which is Holm's first step and the only one that a verdict needs.

Shape letters: B rows, N draws, V vocabulary.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence
from conformance.errors import SpecError
from conformance.judge import frequencies
from conformance.judge.settling import place_of, settle
from conformance.judge.values import rho_of
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from conformance.judge.frequencies import Tested
    from conformance.oracles.sampling import Distributions

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Draw = Callable[[int], Ints]
    """Returns tokens (B, N) that were never drawn before."""

SCREEN = 1e-3
"""Alpha of the first look."""
RETEST = 1e-5
"""Alpha of the second."""
MORE = 4
"""How many times as many draws the second look has."""
POWER = 0.995
"""Chance that a look notices the least distance; both together notice it with 0.99."""
DISTANCE = 0.02
"""The least total variation that has to be noticed."""
BETWEEN_SEEDS = 0.1
"""The same where each draw costs a call of its own."""
LEAK = 1e-3
"""The least share of draws outside the support that has to be noticed."""
UNSEEN = 1e-3
"""Chance that a leak of that size is not noticed."""


def same_shares(observed_BV: Array, expected: Distributions) -> None:
    """Demand the same tokens with a share, and each share within its rounding error bound.

    Raises:
        SpecError: a token lies on the edge of a limit, where right implementations differ.
    """
    if not expected.decided:
        raise SpecError("a token lies on the edge of a limit: these logits decide nothing")
    value_BV, bound_BV = expected.value_BV, expected.bound_BV
    missing_BV = (value_BV > bound_BV) & (observed_BV == 0)
    extra_BV = (value_BV == 0) & ~(observed_BV == 0)
    wrong_BV = missing_BV | extra_BV
    place, _ = place_of("tokens", np.where(wrong_BV, 1.0, 0.0))
    settle(
        Measurement("misplaced", float(wrong_BV.sum()), 0.0, "tokens", place, wrong_BV.size),
        rho_of("probabilities", observed_BV, value_BV, np.where(extra_BV, 1.0, bound_BV)),
    )


def in_support(draw: Draw, p_BV: Floats) -> None:
    """Demand that no token is drawn whose share is 0, nor one that there is not."""
    draws = int(np.ceil(np.log(UNSEEN) / np.log1p(-LEAK)))
    outside_BN = np.stack(
        [
            frequencies.sorted_into(tokens_N, frequencies.cells_of(p_V)) == frequencies.OUTSIDE
            for tokens_N, p_V in zip(draw(draws), p_BV, strict=True)
        ]
    )
    place, _ = place_of("tokens", np.where(outside_BN, 1.0, 0.0))
    evidence.note(
        f"{draws} draws a row: a share of {LEAK:g} outside the support would have been noticed "
        f"with a probability of {1 - UNSEEN:g}"
    )
    settle(Measurement("outside", float(outside_BN.sum()), 0.0, "tokens", place, outside_BN.size))


def as_often(draw: Draw, p_BV: Floats, distance: float = DISTANCE) -> None:
    """Demand that each row's tokens come as often as their shares say.

    Args:
        draw: draws.
        p_BV: the exact shares.
        distance: the total variation that has to be noticed.
    """
    groups = [(b, cell_V) for b, p_V in enumerate(p_BV) for cell_V in _groupings(p_V)]

    def look(draws: int) -> list[Tested]:
        tokens_BN = draw(draws)
        return [
            frequencies.goodness(tokens_BN[b], p_BV[b], cell_V, f"row {b}") for b, cell_V in groups
        ]

    freedom = max(int(cell_V.max()) for _, cell_V in groups)
    _look_twice(look, freedom, len(groups), distance)


def _groupings(p_V: Floats) -> list[Ints]:
    """Return the cells of tokens by their share and, where these are more than one, mixed."""
    mixed_V = frequencies.cells_of(p_V, mixed=True)
    return [frequencies.cells_of(p_V)] + [mixed_V] * bool(mixed_V.max() > 0)


def over_seeds(draw: Draw, p_BV: Floats) -> None:
    """Demand the same of the first draws of many seeds, at the distance that these can afford."""
    as_often(draw, p_BV, BETWEEN_SEEDS)


def independent_steps(draw: Draw, p_BV: Floats) -> None:
    """Demand that a draw tells nothing of the next one, be it an odd or an even one."""
    rows = [_Coarse(p_V) for p_V in p_BV]

    def look(draws: int) -> list[Tested]:
        tokens_BN = draw(2 * draws + 1)
        cells = [row.of(tokens_N) for row, tokens_N in zip(rows, tokens_BN, strict=True)]
        return [
            frequencies.independence(
                cell_N[first:-1:2], cell_N[first + 1 :: 2], (row.size, row.size), f"row {b}"
            )
            for b, (row, cell_N) in enumerate(zip(rows, cells, strict=True))
            for first in (0, 1)
        ]

    _look_twice(look, _PAIRED, 2 * len(rows))


def independent_rows(draw: Draw, p_BV: Floats) -> None:
    """Demand that the draws of a row tell nothing of another's, nor of its next or last ones."""
    rows = [_Coarse(p_V) for p_V in p_BV]

    def look(draws: int) -> list[Tested]:
        tokens_BN = draw(draws + 1)
        cells = [row.of(tokens_N) for row, tokens_N in zip(rows, tokens_BN, strict=True)]
        return [
            one
            for a, b in pairs
            for one in _crossed((cells[a], cells[b]), (rows[a], rows[b]), f"rows {a} and {b}")
        ]

    pairs = list(itertools.combinations(range(len(rows)), 2))
    _look_twice(look, _PAIRED, _WAYS * len(pairs))


def independent_seeds(draws_of: Sequence[Draw], p_V: Floats) -> None:
    """Demand that what one seed draws tells nothing of what another draws.

    Args:
        draws_of: draws of seeds that follow each other, one row and the same for all.
        p_V: its exact shares.
    """
    row = _Coarse(p_V)

    def look(draws: int) -> list[Tested]:
        cells = [row.of(draw(draws + 1)[0]) for draw in draws_of]
        return [
            one
            for a, b in pairs
            for one in _crossed((cells[a], cells[b]), (row, row), f"seeds {a} and {b}")
        ]

    pairs = list(itertools.combinations(range(len(draws_of)), 2))
    _look_twice(look, _PAIRED, _WAYS * len(pairs))


_PAIRED = (frequencies.COARSE - 1) ** 2
"""The most degrees of freedom of two draws that are crossed."""
_WAYS = 3
"""In how many ways two sequences are crossed."""


class _Coarse:
    """Few cells of a row's tokens."""

    def __init__(self, p_V: Floats) -> None:
        self._cell_V = frequencies.cells_of(p_V, frequencies.COARSE)
        self.size = int(self._cell_V.max()) + 1

    def of(self, tokens_N: Ints) -> Ints:
        """Return the cells of drawn tokens."""
        return frequencies.sorted_into(tokens_N, self._cell_V)


def _crossed(cells: Sequence[Ints], rows: Sequence[_Coarse], where: str) -> list[Tested]:
    """Return whether two sequences tell of each other, at the same draw and at the next."""
    (one_N, other_N), sizes = cells, (rows[0].size, rows[1].size)
    return [
        frequencies.independence(one_N[:-1], other_N[:-1], sizes, where),
        frequencies.independence(one_N[:-1], other_N[1:], sizes, f"{where}, the second one later"),
        frequencies.independence(one_N[1:], other_N[:-1], sizes, f"{where}, the first one later"),
    ]


def _look_twice(
    look: Callable[[int], list[Tested]], freedom: int, tests: int, distance: float = DISTANCE
) -> None:
    """Judge by a first look, and where that rejects by a second alone.

    Args:
        look: draws so often, and tests.
        freedom: the most degrees of freedom of a test.
        tests: how many there are.
        distance: the total variation that has to be noticed.
    """
    draws = frequencies.draws_for(freedom, SCREEN / tests, distance, POWER)
    found = _largest(look(draws), SCREEN, draws)
    if not found.ok:
        draws *= MORE
        found = _largest(look(draws), RETEST, draws)
    evidence.note(
        f"{draws} draws in cells: a total variation of {distance:g} between them would have been "
        f"noticed with a probability of {2 * POWER - 1:.2g}"
    )
    settle(found)


def _largest(found: Sequence[Tested], alpha: float, draws: int) -> Measurement:
    """Return the statistic that is largest against its limit, at its share of alpha."""
    limits = [frequencies.limit(one.freedom, alpha / len(found)) for one in found]
    ratios = [one.statistic / most for one, most in zip(found, limits, strict=True)]
    worst = int(np.argmax(ratios))
    one, where = found[worst], f"{found[worst].where}: {draws} draws"
    return Measurement("G2", one.statistic, limits[worst], "chi-squared", where, draws)
