"""An oracle's answers, computed once, however often they are asked for."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from conformance import evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Answer = dict[str, NDArray[Any]]

_KEPT_ANSWERS = 64
"""As many of the latest are kept."""
KEPT_BYTES = 1 << 29
"""How large a model's kept answers may be together, but for the latest one."""


class RememberedAnswers:
    """The latest answers of an encoder or an encoder-decoder in fp64.

    Args:
        exact: the oracle.
        ask: computes what it answers to its inputs, by name.
    """

    def __init__(self, exact: Any, ask: Callable[..., Answer]) -> None:
        self.exact, self._ask = exact, ask
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()

    def of(self, *inputs: Ints) -> Answer:
        """Return what it answers to token ids and what belongs to them."""
        key = key_of(*inputs)
        if key not in self._answers:
            with evidence.time_of("oracle"):
                self._answers[key] = self._ask(*inputs)
            while self._are_too_many():
                self._answers.popitem(last=False)
        return self._answers[key]

    def _are_too_many(self) -> bool:
        kept = [array.nbytes for answer in self._answers.values() for array in answer.values()]
        return len(self._answers) > _KEPT_ANSWERS or (
            len(self._answers) > 1 and sum(kept) > KEPT_BYTES
        )


def key_of(*inputs: Ints) -> bytes:
    """Return what tells inputs from others, by their shapes and numbers."""
    shapes = repr([array.shape for array in inputs]).encode()
    return hashlib.sha256(shapes + b"".join(array.tobytes() for array in inputs)).digest()
