"""Faults of the key/value cache.

B batch, T tokens of a step, S tokens so far, G key/value heads, K head dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("extend", kills=("CACHE-001",), bug="generic")
def cache_forgets_the_first_token(honest: Honest, past: Any, *new: Any) -> Any:
    """The oldest key and value are overwritten by zeros at every step."""
    longer = honest(past, *new)
    for part in longer:
        part[:, :, 0] = 0
    return longer


@mutant("extend", kills=("CACHE-001",), bug="generic")
def cache_puts_new_tokens_first(honest: Honest, past: Any, k_BGTK: Any, v_BGTK: Any) -> Any:
    """New keys and values go before the old ones."""
    newest = type(past)(k_BGTK, v_BGTK)
    return honest(newest, *past)


@mutant("extend", kills=("CACHE-001",), bug="generic")
def cache_puts_new_values_first(honest: Honest, past: Any, k_BGTK: Any, v_BGTK: Any) -> Any:
    """New values go before the old ones, and new keys behind."""
    keys, _ = honest(past, k_BGTK, v_BGTK)
    _, values = honest(type(past)(k_BGTK, v_BGTK), *past)
    return type(past)(keys, values)


@mutant("extend", kills=("CACHE-001",), bug="generic")
def cache_keeps_one_row(honest: Honest, past: Any, *new: Any) -> Any:
    """All rows of a batch read the past of the first."""
    first = (part[:1].expand_as(part) for part in past)
    return honest(type(past)(*first), *new)


@mutant("Decoder.forward", kills=("CACHE-001",), bug="lucidrains/x-transformers#219")
def layers_share_a_cache(honest: Honest, self: Any, *tokens: Any, **named: Any) -> Any:
    """All layers read the past of the first."""
    cache = named.pop("cache", None)
    shared = cache and (cache[0],) * len(cache)
    return honest(self, *tokens, cache=shared, **named)


@mutant("append", kills=("CACHE-001",), bug="generic")
def cached_positions_restart(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Positions start again at 0 in every step."""
    return honest(tokens_BT, mask_BS, at_BT - at_BT[:, :1])


@mutant("append", kills=("CACHE-001",), bug="generic")
def cached_positions_one_ahead(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Positions of later steps are one too large."""
    later = mask_BS.shape[1] > tokens_BT.shape[1]
    return honest(tokens_BT, mask_BS, at_BT + int(later))


@mutant("append", kills=("CACHE-001",), bug="unslothai/unsloth#3699")
def cached_positions_count_padding(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Positions of later steps are slots of the cache, padding counted."""
    first = mask_BS.shape[1] - tokens_BT.shape[1]
    slots_BT = np.broadcast_to(np.arange(first, mask_BS.shape[1]), tokens_BT.shape)
    return honest(tokens_BT, mask_BS, slots_BT.copy() if first else at_BT)


@mutant("append", kills=("CACHE-001",), bug="generic")
def cached_padding_forgotten(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Later steps attend to the padding of the first."""
    mask_BS = mask_BS.copy()
    mask_BS[:, : mask_BS.shape[1] - tokens_BT.shape[1]] = 1
    return honest(tokens_BT, mask_BS, at_BT)


@mutant("append", kills=("CACHE-001",), bug="generic")
def step_answers_its_last_token_only(honest: Honest, *inputs: Any) -> Any:
    """All tokens of a step get the logits of the last."""
    logits_BTV = honest(*inputs)
    return np.repeat(logits_BTV[:, -1:], logits_BTV.shape[1], axis=1)


@mutant("crop", kills=("CACHE-001",), bug="generic")
def crop_ignored(honest: Honest, length: int) -> None:
    """Cropping a session leaves it as it was."""
    del honest, length


@mutant("crop", kills=("CACHE-001",), bug="generic")
def crop_keeps_one_less(honest: Honest, length: int) -> Any:
    """Cropping a session keeps one token less than is asked for."""
    return honest(length - 1)


@mutant("reorder", kills=("CACHE-001",), bug="generic")
def reorder_ignored(honest: Honest, rows: Any) -> None:
    """Reordering a session leaves its rows where they were."""
    del honest, rows


@mutant("reorder", kills=("CACHE-001",), bug="generic")
def reorder_inverted(honest: Honest, rows: Any) -> Any:
    """Row i goes to where row rows[i] was, and not the other way round."""
    wanted = np.arange(len(rows))
    wanted[np.asarray(rows)] = np.arange(len(rows))
    return honest(wanted.tolist())


@mutant("copy", kills=("CACHE-001",), bug="generic")
def copy_is_the_session_itself(honest: Any) -> Any:
    """A copy of a session is the same session."""
    return honest.__self__


@mutant("copy", kills=("CACHE-001",), bug="tenstorrent/vllm#415")
def copy_loses_the_last_token(honest: Any) -> Any:
    """A copy of a session, as a prefix cache makes it, has lost its last key."""
    session = honest()
    kept = tuple(part.clone() for part in session._cache)  # noqa: SLF001  # a fault inside it
    for part in kept:
        part[:, :, -1] = 0
    session._cache = kept  # noqa: SLF001  # the same
    return session
