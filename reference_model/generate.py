"""Greedy and sampled decoding with the reference model, with a cache and without.

Sampling is exactly reproducible: the distribution is computed in float64 by the declared steps, and
the random numbers are NumPy's Philox. Shape suffixes: B batch, T tokens, S tokens so far,
V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from reference_model.answers import Cache
    from reference_model.model import Decoder

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Choose = Callable[[int, Floats], int]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens. The steps are applied in the order of the fields.

    Attributes:
        temperature: the logits are divided by it; it has to be positive (greedy decoding is
            ``generate`` without a ``Sampling``).
        top_k: only the k most probable tokens stay; of equals, those with the smaller id.
        top_p: then only the fewest tokens stay whose share of what is left reaches p, the token
            that crosses it included (Holtzman et al. 2020, section 3.1).
        seed: row b of a batch draws from a stream keyed by seed and b, one number per step, so
            what a row draws depends on no other row.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: a field is out of its range.
        """
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}; it has to be positive and finite")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; it has to be at least 1, or None for all")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it has to be above 0 and at most 1")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed is {self.seed}; it has to be from 0 to 2**64 - 1")


def generate(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    *,
    sampling: Sampling | None = None,
    eos: int | None = None,
    pad: int = 0,
    use_cache: bool = True,
) -> list[list[int]]:
    """Return what follows each prompt: up to ``new_tokens`` tokens, an ``eos`` included.

    Args:
        decoder: the model.
        prompts: token ids, one non-empty list per row; shorter ones are padded on the left.
        new_tokens: the most tokens to add to a row.
        sampling: how to draw; without it, the most probable token, of equals the smallest id.
        eos: the token after which a row stops.
        pad: the token that fills the left; it is masked, so any will do.
        use_cache: whether to keep keys and values, or to compute every token again at each step.

    Raises:
        ValueError: a prompt is empty, or there is none.
    """
    ids_BS, mask_BS = left_pad(prompts, pad)
    choose = greedy if sampling is None else _Sampler(sampling, len(prompts))
    added: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    steps = _logits(decoder, ids_BS, mask_BS, use_cache=use_cache)
    logits_BV = next(steps)
    for step in range(new_tokens):
        tokens = [choose(row, logits_V) for row, logits_V in enumerate(logits_BV)]
        for row in sorted(open_rows):
            added[row].append(tokens[row])
            if tokens[row] == eos:
                open_rows.discard(row)
        if not open_rows or step == new_tokens - 1:
            break
        logits_BV = steps.send(np.array(tokens, np.int64))
    return added


def left_pad(prompts: Sequence[Sequence[int]], pad: int = 0) -> tuple[Ints, Ints]:
    """Return token ids and attention mask, both (B, S), the rows flush right.

    Raises:
        ValueError: a prompt is empty, or there is none.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ValueError("prompts has no row or an empty row; each row needs at least one token")
    longest = max(len(prompt) for prompt in prompts)
    ids_BS = np.full((len(prompts), longest), pad, np.int64)
    mask_BS = np.zeros_like(ids_BS)
    for row, prompt in enumerate(prompts):
        ids_BS[row, longest - len(prompt) :] = prompt
        mask_BS[row, longest - len(prompt) :] = 1
    return ids_BS, mask_BS


def positions(mask_BS: Ints) -> Ints:
    """Return each token's position: the count of attended tokens before it; 0 for padding."""
    return np.maximum(np.cumsum(mask_BS, axis=1) - 1, 0)


def greedy(_row: int, logits_V: Floats) -> int:
    """Return the most probable token, of equals the smallest id."""
    return int(np.argmax(logits_V))


def probabilities(logits_V: Floats, sampling: Sampling) -> Floats:
    """Return the distribution that is drawn from, float64 (V,): temperature, top-k, top-p."""
    scaled_V = np.asarray(logits_V, np.float64) / sampling.temperature
    p_V: Floats = np.exp(scaled_V - scaled_V.max())
    p_V /= p_V.sum()
    order_V = np.argsort(-p_V, kind="stable")
    if sampling.top_k is not None:
        p_V[order_V[sampling.top_k :]] = 0.0
        p_V /= p_V.sum()
    if sampling.top_p is not None:
        reached = np.cumsum(p_V[order_V]) >= sampling.top_p
        # Rounding can leave the whole sum just below a top_p of 1: then every token stays.
        kept = int(np.argmax(reached)) + 1 if reached.any() else len(p_V)
        p_V[order_V[kept:]] = 0.0
        p_V /= p_V.sum()
    return p_V


class _Sampler:
    """Draws by inverting the cumulated distribution in order of token id."""

    def __init__(self, sampling: Sampling, rows: int) -> None:
        self.sampling = sampling
        self.streams = [np.random.Philox(key=[sampling.seed, row]) for row in range(rows)]

    def __call__(self, row: int, logits_V: Floats) -> int:
        p_V = probabilities(logits_V, self.sampling)
        uniform = (int(self.streams[row].random_raw()) >> 11) * 2.0**-53  # in [0, 1)
        # The sum can round to just below 1, so what is drawn beyond it is the last token left.
        token = int(np.searchsorted(np.cumsum(p_V), uniform, side="right"))
        return min(token, int(np.flatnonzero(p_V)[-1]))


def _logits(
    decoder: Decoder, ids_BS: Ints, mask_BS: Ints, *, use_cache: bool
) -> Generator[Floats, Ints, None]:
    """Yield the last token's logits, (B, V); each token sent back, (B,), is appended."""
    cache: Cache | None = None
    fed = 0
    while True:
        with torch.inference_mode():
            output = decoder(
                torch.from_numpy(ids_BS[:, fed:]),
                torch.from_numpy(mask_BS),
                torch.from_numpy(positions(mask_BS)[:, fed:]),
                cache,
            )
        if use_cache:
            cache, fed = output.cache, ids_BS.shape[1]
        token_B = yield output.logits_BTV[:, -1].double().numpy()
        ids_BS = np.concatenate((ids_BS, token_B[:, None]), axis=1)
        mask_BS = np.concatenate((mask_BS, np.ones_like(token_B[:, None])), axis=1)
