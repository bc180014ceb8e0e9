"""An answer against the exact logits, token by token: what every end-to-end rule is made of.

The honest ensemble is measured with the same function as the candidate, so that a rule compares
like with like. Tokens are taken one at a time: beside the two arrays that are compared nothing of
their size is held. Shape letters: B batch, T tokens, N judged tokens, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles import matched_filter
from conformance.oracles.operators.softmax import log_softmax

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from conformance.oracles.corpus import Corpus
    from conformance.oracles.matched_filter import Strength

    Array = NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """What distinguishes an answer from the exact logits, for each judged token."""

    square_N: Array
    """Mean square of the error."""
    largest_N: Array
    """Largest error."""
    divergence_N: Array
    """KL divergence of the answered distribution from the exact one, in nats, summed over V."""
    loss_N: Array
    """How much more the token that follows loses; NaN where none follows."""
    gain: Strength
    """How much of the exact logits themselves, centred, the error holds: a temperature's trace."""

    @property
    def rms(self) -> float:
        """The RMS error over all judged tokens."""
        return float(np.sqrt(np.mean(self.square_N)))

    @property
    def largest(self) -> float:
        """The largest error over all judged tokens."""
        return float(np.max(self.largest_N))

    @property
    def divergence(self) -> float:
        """The mean divergence."""
        return float(np.mean(self.divergence_N))

    @property
    def loss(self) -> float:
        """The mean difference of the losses."""
        return float(np.nanmean(self.loss_N))

    @property
    def loss_error(self) -> float:
        """Standard error of that mean, from token to token."""
        losses_N = self.loss_N[~np.isnan(self.loss_N)]
        return float(np.std(losses_N)) / math.sqrt(losses_N.size)


def compare(observed_BTV: Array, expected_BTV: Array, corpus: Corpus) -> Comparison:
    """Compare an answer to a corpus with the exact one, at the tokens that the mask judges."""
    followers_BT = followers(corpus)
    squares, largest, divergences, losses, products = [], [], [], [], []
    for place, observed_V, expected_V in judged(observed_BTV, expected_BTV, corpus):
        with np.errstate(invalid="ignore", over="ignore"):
            error_V = observed_V.astype(np.float64) - expected_V
            squares.append(np.mean(error_V * error_V))
            largest.append(np.max(np.abs(error_V)))
            exact_V, answered_V = log_softmax(expected_V), log_softmax(expected_V + error_V)
        divergences.append(np.exp(exact_V) @ (exact_V - answered_V))
        follower = followers_BT[place]
        losses.append(exact_V[follower] - answered_V[follower] if follower >= 0 else np.nan)
        centred_V = expected_V - expected_V.mean()
        products.append((centred_V @ centred_V, centred_V @ error_V))
    return Comparison(
        square_N=np.array(squares),
        largest_N=np.array(largest),
        divergence_N=np.array(divergences),
        loss_N=np.array(losses),
        gain=matched_filter.from_products(np.array(products)),
    )


def judged(
    observed_BTV: Array, expected_BTV: Array, corpus: Corpus
) -> Iterator[tuple[tuple[int, ...], Array, Array]]:
    """Yield the place of each judged token with its two rows of logits."""
    for row in np.argwhere(corpus.attention_mask_BT != 0):
        place = tuple(int(i) for i in row)
        yield place, observed_BTV[place], expected_BTV[place]


def followers(corpus: Corpus) -> Array:
    """Return the token that follows each judged token, (B, T); -1 where none does."""
    ids_BT, mask_BT = corpus.input_ids_BT, corpus.attention_mask_BT
    found_BT = np.full(ids_BT.shape, -1, dtype=np.int64)
    both_BT = (mask_BT[:, :-1] != 0) & (mask_BT[:, 1:] != 0)
    found_BT[:, :-1] = np.where(both_BT, ids_BT[:, 1:], -1)
    return found_BT
