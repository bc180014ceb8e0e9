"""Faults of drawing: the shares are right, and the tokens are not drawn by them.

What is replaced gets the shares, a seed and how many draws. B rows, N draws, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant
from conformance.mutants._calls import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


def _uniforms(seed: int, rows: int, draws: int) -> Any:
    """Return numbers in [0, 1), (B, N), each row's from a generator of its own."""
    return np.stack([np.random.default_rng([seed, row]).random(draws) for row in range(rows)])


def _inverted(p_BV: Any, uniform_BN: Any) -> Any:
    """Return the tokens (B, N) at which the cumulated shares pass these numbers."""
    rows = [
        np.minimum(np.searchsorted(np.cumsum(p_V), u_N, side="right"), np.flatnonzero(p_V)[-1])
        for p_V, u_N in zip(p_BV.astype(np.float64), uniform_BN, strict=True)
    ]
    return np.stack(rows).astype(np.int64)


@mutant("draw", kills=ids("SAMPLE", 14), bug="flashinfer-ai/flashinfer#384")
def drawn_ids_off_by_one(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """A drawn token is the one behind, and the last one an id that there is not."""
    return honest(p_BV, seed, draws) + 1


@mutant("draw", kills=ids("SAMPLE", 14), bug="flashinfer-ai/flashinfer#384")
def now_and_then_an_id_out_of_range(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """In one of 500 draws the search runs past the last token."""
    late_BN = _uniforms(seed + 1, len(p_BV), draws) < 1 / 500
    return np.where(late_BN, p_BV.shape[1], honest(p_BV, seed, draws))


@mutant("draw", kills=ids("SAMPLE", 14), bug="generic")
def now_and_then_a_dropped_token(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """In one of 200 draws the limits are forgotten, and any token comes."""
    free_BN = _uniforms(seed + 1, len(p_BV), draws) < 1 / 200
    any_BN = (_uniforms(seed + 2, len(p_BV), draws) * p_BV.shape[1]).astype(np.int64)
    return np.where(free_BN, any_BN, honest(p_BV, seed, draws))


@mutant("draw", kills=ids("SAMPLE", 15), bug="vllm-project/vllm#26859")
def the_most_probable_always(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Every draw is the most probable token."""
    del seed
    return np.repeat(p_BV.argmax(-1)[:, None], draws, axis=1)


@mutant("draw", kills=ids("SAMPLE", 15), bug="generic")
def first_of_four_neighbours(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Of four rare tokens that follow each other by their shares the first comes for all."""
    tokens_BN = honest(p_BV, seed, draws)
    for p_V, tokens_N in zip(p_BV, tokens_BN, strict=True):
        by_share = np.argsort(-p_V, kind="stable")
        first_V = np.arange(len(p_V))
        rare = int(np.count_nonzero(p_V > 1 / 32))
        places = np.arange(rare, np.count_nonzero(p_V))
        first_V[by_share[places]] = by_share[rare + (places - rare) // 4 * 4]
        tokens_N[:] = first_V[tokens_N]
    return tokens_BN


@mutant("draw", kills=ids("SAMPLE", 15), bug="generic")
def cumulated_shares_in_bfloat16(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Shares are added up in bfloat16, whose steps swallow the improbable ones."""
    total_BV = np.zeros_like(p_BV)
    sum_B = np.zeros(len(p_BV), ml_dtypes.bfloat16)
    for token in range(p_BV.shape[1]):
        sum_B = sum_B + p_BV[:, token].astype(ml_dtypes.bfloat16)
        total_BV[:, token] = sum_B.astype(np.float32)
    uniform_BN = _uniforms(seed, len(p_BV), draws)
    return _inverted(np.diff(total_BV, prepend=0.0, axis=1), uniform_BN)


@mutant("draw", kills=ids("SAMPLE", 15), bug="generic")
def sums_end_before_one(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Numbers are drawn from 0 to 0.97, so that the last tokens come too rarely."""
    return _inverted(p_BV, 0.97 * _uniforms(seed, len(p_BV), draws))


@mutant("draw", kills=ids("SAMPLE", 15), bug="generic")
def noise_of_gumbel_without_the_second_logarithm(
    _: Honest, p_BV: Any, seed: int, draws: int
) -> Any:
    """The largest of log(p) - log(u) is taken, where the noise is -log(-log(u))."""
    numbers = np.random.default_rng([seed, 0])
    found = []
    with np.errstate(divide="ignore"):
        log_BV = np.log(p_BV.astype(np.float64))
    for log_V in log_BV:
        noise_NV = -np.log1p(-numbers.random((draws, len(log_V)), np.float32))
        found.append((log_V + noise_NV).argmax(-1))
    return np.stack(found).astype(np.int64)


@mutant("draw", kills=ids("SAMPLE", 16), bug="vllm-project/vllm#40376")
def every_tenth_draw_repeats(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """One of ten draws is the token of the draw before it."""
    tokens_BN = honest(p_BV, seed, draws)
    again_BN = _uniforms(seed + 1, len(p_BV), draws) < 0.1
    again_BN[:, 0] = False
    return np.where(again_BN, np.roll(tokens_BN, 1, axis=1), tokens_BN)


@mutant("draw", kills=ids("SAMPLE", 16), bug="generic")
def antithetic_numbers(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Every second number is 1 minus the one before it."""
    uniform_BN = _uniforms(seed, len(p_BV), draws + draws % 2)
    uniform_BN[:, 1::2] = np.nextafter(1 - uniform_BN[:, ::2], 0)
    return _inverted(p_BV, uniform_BN[:, :draws])


@mutant("draw", kills=ids("SAMPLE", 16), bug="generic")
def repetitions_drawn_again(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """A draw that repeats the one before it is drawn once more."""
    tokens_BN = honest(p_BV, seed, draws)
    again_BN = tokens_BN == np.roll(tokens_BN, 1, axis=1)
    return np.where(again_BN, honest(p_BV, seed + 1, draws), tokens_BN)


@mutant("draw", kills=ids("SAMPLE", 17), bug="generic")
def one_draw_for_all_rows(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """All rows of a batch are drawn by the same numbers."""
    return np.concatenate([honest(p_V[None], seed, draws) for p_V in p_BV])


@mutant("draw", kills=ids("SAMPLE", 17), bug="generic")
def rows_share_a_stream_one_step_apart(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """A row's numbers are those of the row before it, one draw later."""
    rows = len(p_BV)
    numbers_M = np.random.default_rng([seed, 0]).random(draws + rows)
    return _inverted(p_BV, np.stack([numbers_M[b : b + draws] for b in range(rows)]))


@mutant("draw", kills=ids("SAMPLE", 17), bug="generic")
def rows_mostly_apart(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """One of ten numbers is the first row's own in every row."""
    uniform_BN = _uniforms(seed, len(p_BV), draws)
    shared_N = np.random.default_rng([seed, len(p_BV)]).random(draws) < 0.1
    return _inverted(p_BV, np.where(shared_N, uniform_BN[:1], uniform_BN))


@mutant("draw", kills=ids("SAMPLE", 18, 20), bug="generic")
def seed_ignored(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Every seed draws what seed 0 draws."""
    del seed
    return honest(p_BV, 0, draws)


@mutant("draw", kills=ids("SAMPLE", 18), bug="generic")
def seeds_in_pairs(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """The last bit of a seed is lost."""
    return honest(p_BV, seed // 2 * 2, draws)


@mutant("draw", kills=ids("SAMPLE", 18), bug="generic")
def seeds_are_places_in_one_stream(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """The numbers of a seed are those of the one before it, one draw later."""
    block, start = divmod(seed, 1 << 16)
    numbers = [np.random.default_rng([block, row]) for row in range(len(p_BV))]
    return _inverted(p_BV, np.stack([one.random(start + draws)[start:] for one in numbers]))


@mutant("draw", kills=ids("SAMPLE", 19), bug="generic")
def seed_of_the_clock(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Draws come from a state that all calls share, whatever the seed is."""
    del seed
    _CALLS[0] += 1
    return honest(p_BV, _CALLS[0], draws)


_CALLS = [0]
"""How many draws the faulty candidate has made."""


@mutant("draw", kills=ids("SAMPLE", 21), bug="generic")
def one_stream_for_the_batch(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Rows take turns at the numbers of one stream, so that their number says who gets which."""
    uniform_NB = np.random.default_rng([seed, 0]).random((draws, len(p_BV)))
    return _inverted(p_BV, uniform_NB.T)


@mutant("draw", kills=ids("SAMPLE", 21), bug="generic")
def streams_counted_from_the_last_row(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """A row's stream is that of its distance to the last row."""
    return honest(p_BV[::-1], seed, draws)[::-1].copy()


@mutant("draw", kills=ids("SAMPLE", 20), bug="generic")
def first_numbers_grow_with_the_seed(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """The first number of a seed is a small multiple of it, as where a generator is not warmed."""
    uniform_BN = _uniforms(seed, len(p_BV), draws)
    uniform_BN[:, 0] = seed * 69069 % 2**32 / 2**32
    uniform_BN[:, 0] = uniform_BN[:, 0] / 2 + 0.25
    return _inverted(p_BV, uniform_BN)


@mutant("draw", kills=ids("SAMPLE", 20), bug="generic")
def seeds_of_eight_bits(honest: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Seeds that agree in their last eight bits draw the same tokens."""
    return honest(p_BV, seed % 256, draws)


@mutant(
    "draw",
    bug="generic",
    equivalent="The largest of log(p) and independent Gumbel noise is distributed by p (Gumbel "
    "1954; Maddison et al. 2014).",
)
def largest_of_gumbel_noise(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """The token with the largest log(p) and noise is drawn, with no cumulated shares."""
    found = []
    with np.errstate(divide="ignore"):
        log_BV = np.log(p_BV.astype(np.float64))
    for row, log_V in enumerate(log_BV):
        there = np.flatnonzero(np.isfinite(log_V))
        noise_NV = np.random.default_rng([seed, row]).gumbel(size=(draws, len(there)))
        found.append(there[(log_V[there] + noise_NV).argmax(-1)])
    return np.stack(found).astype(np.int64)


@mutant("draw", bug="generic", equivalent="1 - u is distributed as u is.")
def numbers_from_above(_: Honest, p_BV: Any, seed: int, draws: int) -> Any:
    """Cumulated shares are passed from the last token on."""
    return _inverted(p_BV, np.nextafter(1 - _uniforms(seed, len(p_BV), draws), 0))
