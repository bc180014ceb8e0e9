"""A model that computes one token of one row at a time, so that its bits depend on nothing else.

Batch and split invariance by construction, for a runtime that gives the same bits for the same
call. It is as slow as that sounds. Shape letters: B batch, T tokens, S tokens seen so far, V
vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from conformance.candidate import Model, Session

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

PROMISES = frozenset({"batch_invariant", "split_invariant"})
"""What it adds to the claims of a deterministic runtime."""


class OneByOne:
    """Another model, asked for one token of one row at a time."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.hidden_states = model.hidden_states  # of one pass: who wraps a model does not claim it

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V)."""
        session = self.start(len(input_ids_BT))
        return session.append(input_ids_BT, attention_mask_BT, position_ids_BT)

    def start(self, batch: int) -> _Rows:
        """Return an empty session for ``batch`` rows."""
        return _Rows([self._model.start(1) for _ in range(batch)])


class _Rows:
    """A session of its own for each row."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = list(sessions)

    def append(self, input_ids_BT: Ints, attention_mask_BS: Ints, position_ids_BT: Ints) -> Array:
        """Feed T more tokens, each by itself; return their logits (B, T, V)."""
        tokens = input_ids_BT.shape[1]
        past = attention_mask_BS.shape[1] - tokens
        rows = []
        for row, session in enumerate(self._sessions):
            own = slice(row, row + 1)
            steps = [
                session.append(
                    input_ids_BT[own, t : t + 1],
                    attention_mask_BS[own, : past + t + 1],
                    position_ids_BT[own, t : t + 1],
                )
                for t in range(tokens)
            ]
            rows.append(np.concatenate(steps, axis=1))
        return np.concatenate(rows)

    def copy(self) -> _Rows:
        """Return an independent session in the same state."""
        return _Rows([session.copy() for session in self._sessions])

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens."""
        for session in self._sessions:
            session.crop(length)

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was."""
        self._sessions = [self._sessions[row].copy() for row in rows]
