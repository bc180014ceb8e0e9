"""From logits to a token: penalties, temperature, limits, and a draw that can be repeated exactly.

The distribution is computed in float64 by the declared steps, and the random numbers are NumPy's
Philox. Shape suffixes: V vocabulary, N draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens. The steps are applied in the order of the fields.

    Attributes:
        logit_bias: by token id, what is added to its logit.
        repetition_penalty: the logit of a token that stands in the text, prompt included, is
            divided by it where it is positive and multiplied where it is negative (Keskar et al.
            2019, section 4.1, with the sign that keeps it a penalty).
        presence_penalty: is taken from the logit of each token that was generated.
        frequency_penalty: is taken from it once for each time that it was generated.
        temperature: the logits are divided by it; it has to be positive (greedy decoding is
            ``generate`` without a ``Sampling``).
        top_k: only the k most probable tokens stay; of equals, those with the smaller id.
        top_p: then only the fewest tokens stay whose share of what is left reaches p, the token
            that crosses it included (Holtzman et al. 2020, section 3.1).
        min_p: then only tokens stay that are at least this times as probable as the most probable.
        seed: row b of a batch draws from a stream keyed by seed and b, one number per step, so
            what a row draws depends on no other row.
    """

    logit_bias: Mapping[int, float] = field(default_factory=dict)
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: a field is out of its range.
        """
        if not 0 < self.repetition_penalty < float("inf"):
            raise ValueError(
                f"repetition_penalty is {self.repetition_penalty}; it has to be positive and finite"
            )
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}; it has to be positive and finite")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; it has to be at least 1, or None for all")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it has to be above 0 and at most 1")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p is {self.min_p}; it has to be from 0 to 1")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed is {self.seed}; it has to be from 0 to 2**64 - 1")


def penalised(
    logits_V: Floats, sampling: Sampling, prompt: Sequence[int] = (), generated: Sequence[int] = ()
) -> Floats:
    """Return the logits after bias and penalties, float64 (V,)."""
    z_V = np.array(logits_V, np.float64)
    for token, bias in sampling.logit_bias.items():
        z_V[token] += bias
    seen = np.unique(np.array([*prompt, *generated], np.int64))
    penalty = sampling.repetition_penalty
    z_V[seen] = np.where(z_V[seen] > 0, z_V[seen] / penalty, z_V[seen] * penalty)
    ids, times = np.unique(np.array(generated, np.int64), return_counts=True)
    z_V[ids] -= sampling.presence_penalty + sampling.frequency_penalty * times
    return z_V


def probabilities(
    logits_V: Floats, sampling: Sampling, prompt: Sequence[int] = (), generated: Sequence[int] = ()
) -> Floats:
    """Return the distribution that is drawn from, float64 (V,), after the tokens so far."""
    scaled_V = penalised(logits_V, sampling, prompt, generated) / sampling.temperature
    p_V: Floats = np.exp(scaled_V - scaled_V.max())
    p_V /= p_V.sum()
    order_V = np.argsort(-p_V, kind="stable")
    if sampling.top_k is not None:
        p_V[order_V[sampling.top_k :]] = 0.0
        p_V /= p_V.sum()
    # A top_p of 1 is no limit: a rounded sum can reach 1 before its last terms, or never.
    if sampling.top_p is not None and sampling.top_p < 1:
        reached = np.cumsum(p_V[order_V]) >= sampling.top_p
        p_V[order_V[int(np.argmax(reached)) + 1 :]] = 0.0
        p_V /= p_V.sum()
    p_V[p_V < sampling.min_p * p_V.max()] = 0.0
    p_V /= p_V.sum()
    return p_V


def stream(seed: int, row: int) -> np.random.Philox:
    """Return the random numbers of one row."""
    return np.random.Philox(key=[seed, row])


def draw(p_V: Floats, numbers: np.random.Philox, draws: int = 1) -> Ints:
    """Return tokens (N,), by inverting the cumulated distribution in order of token id."""
    raw_N = np.atleast_1d(np.asarray(numbers.random_raw(draws)))
    uniform_N = (raw_N >> np.uint64(11)) * 2.0**-53  # in [0, 1)
    token_N = np.searchsorted(np.cumsum(p_V), uniform_N, side="right")
    # The sum can round to just below 1, so what is drawn beyond it is the last token left.
    tokens_N: Ints = np.minimum(token_N, np.flatnonzero(p_V)[-1])
    return tokens_N


class Sampler:
    """Draws one token after the other for each row, and remembers what it drew."""

    def __init__(self, sampling: Sampling, prompts: Sequence[Sequence[int]]) -> None:
        self.sampling, self.prompts = sampling, prompts
        self.generated: list[list[int]] = [[] for _ in prompts]
        self.streams = [stream(sampling.seed, row) for row in range(len(prompts))]

    def __call__(self, row: int, logits_V: Floats) -> int:
        """Return the next token of a row."""
        told = self.generated[row]
        p_V = probabilities(logits_V, self.sampling, self.prompts[row], told)
        told.append(int(draw(p_V, self.streams[row])[0]))
        return told[-1]
