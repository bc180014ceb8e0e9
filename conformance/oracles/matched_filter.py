"""The matched filter: how much of a known fault a residual holds, and how surely.

A fault may lie far below the rounding noise, where no tolerance on the size of an error can see it.
Its direction is known, though: d, what the fault does to the exact output. For a residual r (the
candidate's output less the exact one) the strength beta = <r, d> / <d, d> is 0 without the fault
and 1 with all of it, and its standard error shrinks with the square root of the tokens judged:
noise has no preferred direction. (It is the matched filter of radar, and least squares with one
regressor.) Several faults at once are told apart by least squares over their directions.

Errors of one token's logits are not independent of each other; those of different tokens nearly
are. So standard errors are taken from token to token (the clustered sandwich estimator: Liang and
Zeger, Biometrika 73, 1986), and need no model of the noise.

Honest candidates have a small strength of their own, since rounding is not perfectly unbiased. It
is known from the honest ensemble, and a fault is only called present where the candidate's strength
is clear of the honest ones. Nothing here runs a model. Shape letters: N tokens, V numbers of one
token, H faults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Block = tuple[Array, Sequence[Array]]

SURE = 5.0
"""Standard errors that count as certain: of some thousand decisions a run makes, none is wrong."""


@dataclass(frozen=True, slots=True)
class Strength:
    """How much of a fault a residual holds: 0 none, 1 all of it."""

    value: float
    error: float
    """Standard error of the value, from token to token."""
    tokens: int

    @property
    def z(self) -> float:
        """How surely it is not 0, in standard errors."""
        return abs(self.value) / self.error if self.error else math.inf * abs(self.value)

    def tokens_for(self, resolution: float) -> int:
        """Return how many tokens would be needed to be certain of a strength of this size."""
        return max(1, math.ceil(self.tokens * (SURE * self.error / resolution) ** 2))


@dataclass(frozen=True, slots=True)
class Interval:
    """Where strengths of honest candidates lie."""

    low: float
    high: float

    def clear_of(self, strength: Strength) -> bool:
        """Return whether a strength is certainly none of an honest candidate."""
        margin = SURE * strength.error
        inside = strength.value - margin <= self.high and strength.value + margin >= self.low
        return not inside  # so that NaN is clear of every honest candidate

    @property
    def reach(self) -> float:
        """The largest strength, of either sign, that honest candidates may have."""
        return max(abs(self.low), abs(self.high))


def strengths(blocks: Iterable[Block]) -> list[Strength]:
    """Return the strength of each of several faults, all at once, by least squares.

    Args:
        blocks: a residual (N, V) with the faults' directions, each (N, V); the blocks of a long
            corpus may come one after the other, so that no more than one is held.

    Raises:
        ValueError: there are fewer than two tokens, or the directions depend on each other.
    """
    parts = [_products(residual, directions) for residual, directions in blocks]
    gram_NHH, right_NH = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _solved(gram_NHH, right_NH)


def _solved(gram_NHH: Array, right_NH: Array) -> list[Strength]:
    tokens, faults = right_NH.shape
    if not np.isfinite(right_NH).all():
        return [Strength(math.nan, math.nan, tokens)] * faults
    if tokens < 2:
        raise ValueError(f"{tokens} tokens; a standard error needs at least 2")
    gram_HH = gram_NHH.sum(axis=0)
    if np.linalg.matrix_rank(gram_HH, hermitian=True) < faults:
        raise ValueError(f"the directions of the {faults} faults depend on each other")
    values_H = np.linalg.solve(gram_HH, right_NH.sum(axis=0))
    # What each token says against the common answer.
    scores_NH = right_NH - gram_NHH @ values_H
    inverse_HH = np.linalg.inv(gram_HH)
    spread_HH = inverse_HH @ (scores_NH.T @ scores_NH) @ inverse_HH * (tokens / (tokens - 1))
    errors_H = np.sqrt(np.diag(spread_HH))
    return [
        Strength(float(value), float(error), tokens)
        for value, error in zip(values_H, errors_H, strict=True)
    ]


def strength(residual_NV: Array, direction_NV: Array) -> Strength:
    """Return the strength of one fault in a residual.

    Raises:
        ValueError: there are fewer than two tokens, or the fault does nothing.
    """
    return strengths([(residual_NV, [direction_NV])])[0]


def from_products(products_N2: Array) -> Strength:
    """Return the strength of one fault from each token's <d, d> and <r, d>, (N, 2).

    Raises:
        ValueError: there are fewer than two tokens, or the fault does nothing.
    """
    return _solved(products_N2[:, :1, None], products_N2[:, 1:])[0]


def _products(residual_NV: Array, directions: Sequence[Array]) -> tuple[Array, Array]:
    """Return each token's Gram matrix (N, H, H) and its products with the residual (N, H)."""
    for direction in directions:
        if direction.shape != residual_NV.shape:
            raise ValueError(
                f"a direction of shape {direction.shape} for a residual of {residual_NV.shape}"
            )
    count = len(directions)
    gram_NHH = np.empty((len(residual_NV), count, count))
    for i, one in enumerate(directions):
        for j, other in enumerate(directions[: i + 1]):
            gram_NHH[:, i, j] = gram_NHH[:, j, i] = np.einsum("nv,nv->n", one, other)
    right_NH = np.stack([np.einsum("nv,nv->n", residual_NV, d) for d in directions], axis=1)
    return gram_NHH, right_NH


def honest_interval(honest: Sequence[Strength]) -> Interval:
    """Return where the strengths of further honest candidates lie, 0 included.

    The members of an ensemble show bias and spread; a candidate rounds in yet another order, so the
    interval is that of a single further value, at ``SURE`` deviations of a small sample.

    Args:
        honest: the strength of the fault in each member; at least four.

    Raises:
        ValueError: there are fewer than four.
    """
    if len(honest) < 4:
        raise ValueError(f"{len(honest)} honest members; a spread is taken over at least 4")
    values = np.array([member.value for member in honest])
    middle = float(values.mean())
    error = math.sqrt(float(np.mean([member.error**2 for member in honest])))
    spread = max(float(values.std(ddof=1)), error) * math.sqrt(1 + 1 / len(values))
    return Interval(min(0.0, middle - SURE * spread), max(0.0, middle + SURE * spread))
