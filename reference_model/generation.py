"""Greedy generation as a service gives it: ends, stop sequences, log-probabilities, ragged batches.

To be read from top to bottom. The rows of a batch are padded on the left and go through one cache;
a row that has ended is fed on with its neighbours, and nothing more is kept of it. Shape suffixes:
B batch, T tokens of a step, S tokens so far, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from reference_model.errors import RequestError
from reference_model.generate import left_pad, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reference_model.answers import Cache
    from reference_model.model import Decoder

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a row ends.

    Attributes:
        limit: the most tokens that are added to a row.
        eos: tokens that end a row.
        stops: sequences of tokens that end a row once it ends with one of them.
    """

    limit: int
    eos: Sequence[int] = ()
    stops: Sequence[Sequence[int]] = ()


@dataclass(slots=True)
class Row:
    """What is added to a prompt: tokens, the log-probability of each, and why it ended."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str = ""
    """``stop`` or ``length``; empty while the row goes on."""


def continue_greedily(decoder: Decoder, prompts: Sequence[Sequence[int]], ends: Ends) -> list[Row]:
    """Return what follows each prompt: always the most probable token, of equals the smallest id.

    The token that ends a row is the last that is returned of it.

    Raises:
        RequestError: a prompt is empty, or does not fit into the model's positions with what is to
            be added.
    """
    _refuse(prompts, ends.limit, decoder.config.max_positions)
    rows = [Row(finish=finish_reason([], ends)) for _ in prompts]
    ids_BT, mask_BS = left_pad(prompts)
    at_BT, cache = positions(mask_BS), None
    while not all(row.finish for row in rows):
        logits_BV, cache = step(decoder, ids_BT, mask_BS, at_BT, cache)
        next_B = choose(logits_BV, rows)
        for row, token, logits_V in zip(rows, next_B, logits_BV, strict=True):
            if not row.finish:
                row.tokens.append(int(token))
                row.logprobs.append(log_probability(logits_V, int(token)))
                row.finish = finish_reason(row.tokens, ends)
        ids_BT = next_B[:, None]
        mask_BS = np.concatenate((mask_BS, np.ones_like(ids_BT)), axis=1)
        at_BT = positions(mask_BS)[:, -1:]
    return rows


def _refuse(prompts: Sequence[Sequence[int]], limit: int, room: int) -> None:
    longest = max(map(len, prompts), default=0)
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise RequestError("there is no prompt, or an empty one: nothing says how a text begins")
    if longest + limit > room:
        raise RequestError(
            f"{longest} tokens of a prompt and {limit} to be added are {longest + limit}, and the "
            f"model has {room} positions. Shorten the prompt: nothing of it is cut here"
        )


def finish_reason(tokens: Sequence[int], ends: Ends) -> str:
    """Return why a row ends behind these added tokens; empty where it goes on."""
    # GEN-003, GEN-004: what was added decides, and not the prompt; an end comes before the limit.
    if tokens and tokens[-1] in ends.eos:
        return "stop"
    if any(list(tokens[-len(stop) :]) == list(stop) for stop in ends.stops):
        return "stop"
    return "length" if len(tokens) >= ends.limit else ""


def choose(logits_BV: Floats, rows: Sequence[Row]) -> Ints:
    """Return each row's most probable token, of equals the smallest id; what came is not asked."""
    del rows
    chosen_B: Ints = np.argmax(logits_BV, axis=-1)
    return chosen_B


def log_probability(logits_V: Floats, token: int) -> float:
    """Return the logarithm of a token's probability: log-softmax of the raw logits."""
    # GEN-008: at temperature 1, and over the whole vocabulary.
    largest = logits_V.max()
    return float(logits_V[token] - largest - np.log(np.exp(logits_V - largest).sum()))


def step(
    decoder: Decoder, ids_BT: Ints, mask_BS: Ints, at_BT: Ints, cache: Cache | None
) -> tuple[Floats, Cache]:
    """Return the logits behind the last token of each row, (B, V), and the longer cache."""
    where = decoder.model.embed_tokens.weight.device
    with torch.no_grad():
        inputs = (torch.from_numpy(array).to(where) for array in (ids_BT, mask_BS, at_BT))
        output = decoder(*inputs, cache)
    return output.logits_BTV[:, -1].double().cpu().numpy(), output.cache
