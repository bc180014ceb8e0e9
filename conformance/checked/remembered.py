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

KEPT_BYTES = 1 << 29
"""How large a model's kept answers may be together, but for the latest one: those of a large
vocabulary are few."""


class RememberedAnswers:
    """The latest answers of a model in fp64.

    Args:
        exact: the oracle.
        ask: computes what it answers to its inputs, by name.
        keep: how many are kept.
    """

    def __init__(self, exact: Any, ask: Callable[..., Answer], keep: int = 64) -> None:
        self.exact, self._ask, self._keep = exact, ask, keep
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()

    def of(self, *inputs: Ints) -> Answer:
        """Return what it answers to token ids and what belongs to them."""
        key = _key_of(*inputs)
        if key not in self._answers:
            with evidence.time_of("oracle"):
                self._answers[key] = self._ask(*inputs)
            while self._are_too_many():
                self._answers.popitem(last=False)
        return self._answers[key]

    def _are_too_many(self) -> bool:
        answers = self._answers.values()
        kept = sum(array.nbytes for answer in answers for array in answer.values())
        return len(answers) > self._keep or (len(answers) > 1 and kept > KEPT_BYTES)


def _key_of(*inputs: Ints) -> bytes:
    """Return what tells inputs from others, by their shapes and numbers."""
    shapes = repr([array.shape for array in inputs]).encode()
    return hashlib.sha256(shapes + b"".join(array.tobytes() for array in inputs)).digest()
