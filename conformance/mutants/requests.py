"""Faults that show in the second request, or in another order of the same weights.

B batch, T tokens, H heads, S keys, K head dim, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


def _before(honest: Any, logits_BTV: Any) -> Any:
    """Return what the model answered the request before, and keep what it answers now."""
    model = honest.__self__
    before = getattr(model, "answered_before", logits_BTV)
    model.answered_before = logits_BTV
    return before


@mutant("logits", kills=("DET-001",), bug="generic")
def answer_of_the_request_before(honest: Honest, *inputs: Any) -> Any:
    """Behind a longer request, the last token is answered as that one's token of the same slot."""
    logits_BTV = honest(*inputs)
    before = _before(honest, logits_BTV.copy())
    rows, tokens = min(len(before), len(logits_BTV)), logits_BTV.shape[1]
    if before.shape[1] > tokens:
        logits_BTV[:rows, -1] = before[:rows, tokens - 1]
    return logits_BTV


@mutant("logits", kills=("DET-001",), bug="generic")
def padding_of_the_request_before(honest: Any, ids_BT: Any, mask_BT: Any, at_BT: Any) -> Any:
    """Behind a request of more rows, the first token of each row stays hidden."""
    before = getattr(honest.__self__, "rows_before", 0)
    honest.__self__.rows_before = len(ids_BT)
    if before > len(ids_BT) and ids_BT.shape[1] > 1:
        mask_BT = mask_BT.copy()
        mask_BT[:, 0] = 0
    return honest(ids_BT, mask_BT, at_BT)


@mutant("logits", kills=("DET-002",), bug="generic")
def every_seventh_answer_rounds_otherwise(honest: Any, *inputs: Any) -> Any:
    """Of every seventh answer, all logits are one rounding away."""
    logits_BTV = honest(*inputs)
    count = honest.__self__.answers = getattr(honest.__self__, "answers", 0) + 1
    return logits_BTV if count % 7 else np.nextafter(logits_BTV, logits_BTV.dtype.type(0))


@mutant("start", kills=("DET-001",), bug="generic")
def session_begins_behind_the_one_before(honest: Any, batch: int) -> Any:
    """A new session counts its positions twice as fast where one was fed more than 40 tokens."""
    return _Hurried(honest(batch), honest.__self__)


class _Hurried:
    """A session of a model that remembers how long its sessions were."""

    def __init__(self, session: Any, model: Any) -> None:
        self._session, self._model = session, model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def append(self, tokens_BT: Any, mask_BS: Any, at_BT: Any) -> Any:
        """Feed tokens, at twice their positions behind a long session."""
        long_before = getattr(self._model, "longest_before", 0) > 40
        self._model.longest_before = mask_BS.shape[1]
        return self._session.append(tokens_BT, mask_BS, at_BT * (1 + long_before))


@mutant("attend", kills=("LOGITS-009",), bug="generic")
def last_head_reads_the_keys_of_the_first(
    honest: Honest, q_BHTK: Any, k_BHSK: Any, v_BHSK: Any, *others: Any
) -> Any:
    """The last query head reads the keys and values of the first."""
    return honest(q_BHTK, *(_with_the_first_last(x) for x in (k_BHSK, v_BHSK)), *others)


def _with_the_first_last(x_BHSK: Any) -> Any:
    changed = x_BHSK.clone()
    changed[:, -1] = changed[:, 0]
    return changed


@mutant("RMSNorm.forward", kills=("LOGITS-009",), bug="generic")
def last_channel_is_taken_for_padding(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The last hidden channel is taken for the padding of a row of numbers, and read as 0."""
    kept_D = np.arange(x_BTD.shape[-1]) < x_BTD.shape[-1] - 1
    return honest(self, x_BTD * x_BTD.new_tensor(kept_D.tolist()))
