"""Greedy and sampled decoding with the reference model, with a cache and without.

How a token is drawn from logits stands in ``sampling.py``. Shape suffixes: B batch, T tokens,
S tokens so far, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from reference_model.sampling import Sampler, Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from reference_model.answers import Cache
    from reference_model.model import Decoder

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Choose = Callable[[int, Floats], int]


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
    choose = greedy if sampling is None else Sampler(sampling, prompts)
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
