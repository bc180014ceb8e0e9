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


@mutant("extend", kills=("CACHE-001", "CLOSED-003"), bug="generic")
def cache_forgets_the_first_token(honest: Honest, past: Any, *new: Any) -> Any:
    """The oldest key and value are overwritten by zeros at every step."""
    longer = honest(past, *new)
    for part in longer:
        part[:, :, 0] = 0
    return longer


@mutant("extend", kills=("CACHE-001", "CLOSED-003"), bug="generic")
def cache_holds_128_tokens(honest: Honest, past: Any, *new: Any) -> Any:
    """Of more than 128 tokens, the oldest are overwritten by zeros."""
    longer = honest(past, *new)
    for part in longer:
        part[:, :, : max(0, part.shape[2] - 128)] = 0
    return longer


@mutant("extend", kills=("CACHE-001",), bug="generic")
def cache_puts_new_tokens_first(honest: Honest, past: Any, k_BGTK: Any, v_BGTK: Any) -> Any:
    """New keys and values go before the old ones."""
    newest = type(past)(k_BGTK, v_BGTK)
    return honest(newest, *past)


@mutant("extend", kills=("CACHE-001", "EQUIV-004", "CLOSED-003"), bug="generic")
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


@mutant("append", kills=("CACHE-001", "CLOSED-003"), bug="generic")
def cached_positions_restart(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Positions start again at 0 in every step."""
    return honest(tokens_BT, mask_BS, at_BT - at_BT[:, :1])


@mutant("append", kills=("CACHE-001", "CLOSED-003"), bug="generic")
def cached_positions_one_ahead(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Positions of later steps are one too large."""
    later = mask_BS.shape[1] > tokens_BT.shape[1]
    return honest(tokens_BT, mask_BS, at_BT + int(later))


@mutant("append", kills=("CACHE-001", "CLOSED-003"), bug="unslothai/unsloth#3699")
def cached_positions_count_padding(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Positions of later steps are slots of the cache, padding counted."""
    first = mask_BS.shape[1] - tokens_BT.shape[1]
    slots_BT = np.broadcast_to(np.arange(first, mask_BS.shape[1]), tokens_BT.shape)
    return honest(tokens_BT, mask_BS, slots_BT.copy() if first else at_BT)


@mutant("append", kills=("CACHE-002",), bug="generic")
def cached_positions_are_counted(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Positions are counted from the mask, whatever the step says."""
    counted_BS = np.maximum(np.cumsum(mask_BS, axis=1) - 1, 0)
    return honest(tokens_BT, mask_BS, counted_BS[:, -at_BT.shape[1] :].copy())


@mutant("append", kills=("CACHE-003",), bug="generic")
def cached_mask_frozen(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """A token is seen or hidden as the mask of its own step said, and later masks are not read."""
    session = honest.__self__  # type: ignore[attr-defined]  # of a bound method
    first = mask_BS.shape[1] - tokens_BT.shape[1]
    kept_BS = getattr(session, "kept_mask", mask_BS)[:, :first]
    if kept_BS.shape == mask_BS[:, :first].shape:
        mask_BS = np.concatenate([kept_BS, mask_BS[:, first:]], axis=1)
    session.kept_mask = mask_BS
    return honest(tokens_BT, mask_BS, at_BT)


@mutant("append", kills=("CACHE-001", "CLOSED-003"), bug="generic")
def cached_padding_forgotten(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Later steps attend to the padding of the first."""
    mask_BS = mask_BS.copy()
    mask_BS[:, : mask_BS.shape[1] - tokens_BT.shape[1]] = 1
    return honest(tokens_BT, mask_BS, at_BT)


@mutant("append", kills=("CACHE-001",), bug="generic")
def cached_right_padding_forgotten(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """Later steps attend to whatever stands between the first visible token of a row and them."""
    first = mask_BS.shape[1] - tokens_BT.shape[1]
    begun_BS = np.cumsum(mask_BS, axis=1) > 0
    mask_BS = np.where(np.arange(mask_BS.shape[1]) < first, begun_BS, mask_BS).astype(np.int64)
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


@mutant("crop", kills=("CACHE-001",), bug="generic")
def crop_to_nothing_ignored(honest: Honest, length: int) -> Any:
    """Cropping a session to 0 tokens, which reads as no length, leaves it as it was."""
    return honest(length) if length else None


@mutant("reorder", kills=("CACHE-001",), bug="generic")
def reorder_to_another_size_ignored(honest: Honest, rows: Any) -> Any:
    """A cache keeps its number of rows: the first of the new ones, padded by the last."""
    batch = len(honest.__self__._cache[0])  # type: ignore[attr-defined]  # noqa: SLF001
    return honest([rows[min(i, len(rows) - 1)] for i in range(batch)])


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


class _Sharing:
    """A session that works on its model's one cache, as do all others of the model."""

    def __init__(self, session: Any, owner: Any) -> None:
        self._session, self._owner = session, owner
        owner.one_cache = session._cache  # noqa: SLF001  # a fault inside it

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self._session._cache = self._owner.one_cache  # noqa: SLF001  # the same
            answer = getattr(self._session, name)(*arguments)
            self._owner.one_cache = self._session._cache  # noqa: SLF001  # the same
            return answer

        return call


@mutant("start", kills=("CACHE-004",), bug="generic")
def sessions_share_a_cache(honest: Honest, batch: int) -> Any:
    """A model has one cache, which every new session empties and all of them write to."""
    return _Sharing(honest(batch), honest.__self__)  # type: ignore[attr-defined]  # bound method


@mutant("extend", kills=("CACHE-005", "CACHE-006"), bug="generic")
def page_loses_its_last_key(honest: Honest, past: Any, *new: Any) -> Any:
    """A step that begins a page of 16 overwrites the last key of the page before."""
    longer, slot = honest(past, *new), past[0].shape[2]
    if slot and slot % 16 == 0:
        longer[0][:, :, slot - 1] = longer[0][:, :, slot]
    return longer


@mutant("append", kills=("CACHE-005",), bug="generic")
def second_step_reads_no_cache(honest: Honest, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
    """A step of one token behind one other token is taken for the start of a row."""
    if tokens_BT.shape[1] == 1 and mask_BS.shape[1] == 2:
        mask_BS = mask_BS.copy()
        mask_BS[:, 0] = 0
    return honest(tokens_BT, mask_BS, at_BT)


@mutant("allowed_keys", kills=("CACHE-006",), bug="generic")
def chunk_sees_all_of_itself(honest: Honest, mask_BS: Any, tokens: int) -> Any:
    """From the second chunk on, the tokens of a chunk see each other, whatever their order."""
    allowed_B1TS = honest(mask_BS, tokens).clone()
    if 16 <= tokens < mask_BS.shape[1]:
        allowed_B1TS[..., -tokens:] = (mask_BS != 0)[:, None, None, -tokens:]
    return allowed_B1TS


@mutant("extend", kills=("CACHE-006",), bug="generic", below_noise_at=("bf16",))
def slots_in_bfloat16(honest: Honest, past: Any, *new: Any) -> Any:
    """Slots of the cache are bfloat16 numbers, so that behind slot 256 every other is skipped."""
    longer, slot = honest(past, *new), past[0].shape[2]
    for odd in range(257, longer[0].shape[2], 2):
        if odd >= slot:
            for part in longer:
                part[:, :, odd - 1] = part[:, :, odd]
    return longer


class _Wrapped:
    """A session with a fault in how its calls follow each other; all else is the honest one's."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def copy(self) -> Any:
        return type(self)(self._session.copy())


class _Stale(_Wrapped):
    surplus = 0

    def crop(self, length: int) -> None:
        before = self._session._cache[0].shape[2]  # noqa: SLF001  # a fault inside it
        self._session.crop(length)
        self.surplus += before - length

    def append(self, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
        return self._session.append(tokens_BT, mask_BS, at_BT + self.surplus)


@mutant("start", kills=("CACHE-001", "CACHE-007"), bug="generic")
def positions_stale_after_a_crop(honest: Honest, batch: int) -> Any:
    """After a crop, positions go on from where the cache ended before."""
    return _Stale(honest(batch))


class _Shallow(_Wrapped):
    copies: Any = None

    def copy(self) -> Any:
        self.copies = self.copies if self.copies is not None else [self]
        other = _Shallow(self._session.copy())
        other.copies = self.copies
        self.copies.append(other)
        return other

    def reorder(self, rows: Any) -> None:
        before = self._session._cache  # noqa: SLF001  # a fault inside it
        for one in self.copies or [self]:
            if one._session._cache[0].shape == before[0].shape:  # noqa: SLF001  # the same
                one._session.reorder(rows)  # noqa: SLF001  # the same


@mutant("start", kills=("CACHE-007",), bug="generic")
def reorder_reaches_the_copies(honest: Honest, batch: int) -> Any:
    """A copy is shallow: until one of them goes on, reordering one reorders the others."""
    return _Shallow(honest(batch))


@mutant("extend", kills=("CACHE-008",), bug="generic")
def cache_is_rounded_at_every_step(honest: Honest, past: Any, *new: Any) -> Any:
    """Steps that find an even number of tokens store their values anew, one rounding away."""
    longer, slot = honest(past, *new), past[0].shape[2]
    if slot and slot % 2 == 0:
        values = longer[1][:, :, :slot]
        one = values.new_ones(())
        values *= one.nextafter(one * 2)
    return longer


@mutant("append", kills=("DET-004",), bug="generic")
def later_steps_round_otherwise(honest: Honest, *inputs: Any) -> Any:
    """Logits of steps that find a cache are one rounding away."""
    logits = honest(*inputs)
    later = inputs[1].shape[1] > inputs[0].shape[1]
    return np.nextafter(logits, logits.dtype.type(0)) if later else logits
