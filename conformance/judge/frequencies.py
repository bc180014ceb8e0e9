"""How often things were drawn, against how often they should be: one statistic, and its power.

All is judged by G**2 = 2 sum(n_i log(n_i / (n p_i))), which follows chi-squared where the null
holds (Cressie and Read 1984), on cells that are pooled until each is expected often. Whatever
differs by a total variation of d has a divergence KL >= 2 d**2 (Pinsker), and its G**2 follows the
noncentral chi-squared with at least 4 n d**2: that tells how many draws notice it.

Nothing here draws. Shape letters: B rows, K cells, N draws, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from conformance.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

CELLS = 32
"""Most cells of a distribution: each holds at least this part of it."""
COARSE = 4
"""Most cells of a draw that is crossed with another."""
OUTSIDE = -1
"""The cell of a token that cannot be drawn."""


@dataclass(frozen=True, slots=True)
class Tested:
    """One statistic."""

    statistic: float
    freedom: int
    where: str


def limit(freedom: int, alpha: float) -> float:
    """Return what the statistic exceeds with a chance of alpha where the null holds.

    Raises:
        SpecError: one cell holds everything, so that there is nothing to test.
    """
    if freedom < 1:
        raise SpecError("a distribution in one cell can be drawn in one way only")
    return float(special.chdtri(freedom, alpha))


def power(draws: int, freedom: int, alpha: float, distance: float) -> float:
    """Return the least chance to notice a total variation of ``distance`` or more."""
    lost = special.chndtr(limit(freedom, alpha), freedom, 4 * draws * distance**2)
    return 1.0 - float(lost)


def draws_for(freedom: int, alpha: float, distance: float, wanted: float) -> int:
    """Return how many draws notice a total variation with a chance of ``wanted``."""
    shift = special.chndtrinc(limit(freedom, alpha), freedom, 1 - wanted)
    return math.ceil(float(shift) / (4 * distance**2))


def cells_of(p_V: Floats, most: int = CELLS, *, mixed: bool = False) -> Ints:
    """Return the cell of each token, (V,): probable tokens have their own, rare ones share.

    Args:
        p_V: shares.
        most: a cell is full at 1 / ``most``.
        mixed: whether tokens are taken in an order that keeps no neighbours, and not by their
            share, the largest first. What moves between tokens of one cell is seen by the other.
    """
    cell_V = np.full(len(p_V), OUTSIDE, np.int64)
    held, cell = 0.0, 0
    order = np.argsort(-p_V, kind="stable")
    if mixed:
        order = np.random.default_rng(0).permutation(order)
    for token in order[p_V[order] > 0]:
        cell_V[token] = cell
        held += float(p_V[token])
        if held >= 1 / most:
            held, cell = 0.0, cell + 1
    if held and cell:  # what is left is too little for a cell of its own
        cell_V[cell_V == cell] = cell - 1
    return cell_V


def sorted_into(tokens: Ints, cell_V: Ints) -> Ints:
    """Return the cell of each drawn token; ids that there are not are outside."""
    there = (tokens >= 0) & (tokens < len(cell_V))
    return np.where(there, cell_V[np.where(there, tokens, 0)], OUTSIDE)


def goodness(tokens_N: Ints, p_V: Floats, cell_V: Ints, where: str) -> Tested:
    """Return whether tokens come as often as they should; infinite where one cannot come."""
    there = cell_V >= 0
    share_K = np.bincount(cell_V[there], p_V[there])
    found_N = sorted_into(tokens_N, cell_V)
    if (found_N == OUTSIDE).any():
        return Tested(math.inf, max(len(share_K) - 1, 1), where)
    count_K = np.bincount(found_N, minlength=len(share_K))
    return Tested(_g2(count_K, share_K / share_K.sum() * len(tokens_N)), len(share_K) - 1, where)


def independence(one_N: Ints, other_N: Ints, sizes: tuple[int, int], where: str) -> Tested:
    """Return whether two cells tell nothing of each other, however often they come.

    Pairs with a token that cannot be drawn are left out.

    Args:
        one_N: cells.
        other_N: what came with them.
        sizes: how many cells there are of each.
        where: what is tested.
    """
    inside = (one_N >= 0) & (other_N >= 0)
    pair_N = one_N[inside] * sizes[1] + other_N[inside]
    table_KK = np.bincount(pair_N, minlength=sizes[0] * sizes[1]).reshape(sizes).astype(np.float64)
    expected_KK = np.outer(table_KK.sum(1), table_KK.sum(0)) / max(table_KK.sum(), 1)
    return Tested(_g2(table_KK, expected_KK), (sizes[0] - 1) * (sizes[1] - 1), where)


def _g2(count: Array, expected: Floats) -> float:
    ratio = np.divide(count, expected, out=np.ones_like(expected), where=count > 0)
    return float(2 * special.xlogy(count, ratio).sum())
