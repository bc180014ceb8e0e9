"""What is asked of a candidate that generates text, and what it answers: tokens, never characters.

Text is bytes by way of a tokenizer, which is another capability. For a model whose tokens are
bytes, a stop sequence of tokens is a stop string.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A batch of prompts to be continued greedily: with the most probable token, again and again.

    Nothing that is not said here applies: no token that the checkpoint names as an end, no penalty,
    no shortest length.
    """

    prompts: tuple[tuple[int, ...], ...]
    """Token ids, one row each, of any lengths; nothing is put before them."""
    max_new_tokens: int
    """The most tokens that are added to a row."""
    eos_ids: tuple[int, ...] = ()
    """Tokens that end a row; the one that does is the row's last."""
    stop_sequences: tuple[tuple[int, ...], ...] = ()
    """Sequences that end a row once its added tokens end with one; it is a part of the row."""
    logprobs: bool = False
    """Whether the logarithm of each added token's probability is wanted."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What was added to one prompt; the prompt is not a part of it."""

    tokens: tuple[int, ...]
    finish: str
    """``stop``: an end was reached; ``length``: as many tokens were added as were allowed."""
    logprobs: tuple[float, ...] | None = None
    """Of each token, natural logarithms of the raw distribution (temperature 1, every token of the
    vocabulary); None where they were not asked for."""


FINISHES = ("stop", "length")
