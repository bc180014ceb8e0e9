"""A session over a runtime whose cache is plain arrays: what comes in, what goes out.

For runtimes that keep no state between calls: each call takes the past keys and values and returns
longer ones. Works on NumPy arrays and on tensors of all runtimes that slice the same way; rows are
picked by a function of the runtime's where a list as index does not. Shape letters: B batch, G
key/value heads, S keys, K head dim, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Cache = tuple[Any, ...]
    Step = Callable[[Ints, Ints, Ints, Cache], tuple[Array, Cache]]
    Take = Callable[[Any, Sequence[int]], Any]


def _indexed(array: Any, rows: Sequence[int]) -> Any:
    return array[list(rows)]


class ArraySession:
    """Keys and values, each (B, G, S, K), and the function that makes them longer.

    The arrays are never written to, so that copies may share them.

    Args:
        step: takes token ids, mask, positions and the cache; returns logits (B, T, V) and the
            longer cache.
        cache: the keys and values of no tokens, S = 0.
        take: returns some rows of one of them, in the order given.
    """

    def __init__(self, step: Step, cache: Cache, take: Take = _indexed) -> None:
        self._step, self._cache, self._take = step, cache, take

    def append(self, input_ids_BT: Ints, attention_mask_BS: Ints, position_ids_BT: Ints) -> Array:
        """Feed T more tokens; return their logits (B, T, V)."""
        logits_BTV, self._cache = self._step(
            input_ids_BT, attention_mask_BS, position_ids_BT, self._cache
        )
        return logits_BTV

    def copy(self) -> ArraySession:
        """Return an independent session in the same state."""
        return ArraySession(self._step, self._cache, self._take)

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens."""
        self._cache = tuple(array_BGSK[:, :, :length] for array_BGSK in self._cache)

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i of the cache what row ``rows[i]`` was."""
        self._cache = tuple(self._take(array_BGSK, rows) for array_BGSK in self._cache)
