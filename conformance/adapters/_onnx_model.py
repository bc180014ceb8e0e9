"""A decoder as an ONNX graph, with a key/value cache that goes in and comes out: any runtime's.

B batch, T tokens, S keys, G key/value heads, K head dim, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters._session import ArraySession
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Run = Callable[[list[str], dict[str, Array]], Sequence[Array]]

_TOKENS = ("input_ids", "attention_mask", "position_ids")


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a graph."""

    shape: tuple[Any, ...]
    """Sizes; what stands for a free one is of no interest here."""
    dtype: Any
    """The type of its numbers, as NumPy names it."""


class GraphModel:
    """A graph with the inputs and outputs that exporters have agreed on, matched by name.

    Args:
        run: computes the named outputs of a feed, in order.
        inputs: the graph's inputs by name.
        outputs: the names of its outputs.
    """

    def __init__(self, run: Run, inputs: Mapping[str, Input], outputs: Sequence[str]) -> None:
        self._run, self._inputs = run, inputs
        self._past = [name for name in inputs if name.startswith("past_key_values.")]
        self._present = [name.replace("past_key_values", "present", 1) for name in self._past]
        unknown = set(inputs) - {*_TOKENS, *self._past}
        missing = {"logits", *self._present} - set(outputs)
        if unknown or missing:
            raise Unsupported(
                f"model.onnx has inputs {sorted(unknown)} that mean nothing here, and lacks "
                f"outputs {sorted(missing)}; understood are {', '.join(_TOKENS)}, "
                "past_key_values.<i>.key and .value; logits, present.<i>.key and .value"
            )

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V)."""
        past = self._empty(len(input_ids_BT))
        feed = self._feed(input_ids_BT, attention_mask_BT, position_ids_BT, past)
        return self._run(["logits"], feed)[0]

    def start(self, batch: int) -> ArraySession:
        """Return an empty session for ``batch`` rows.

        Raises:
            Unsupported: the graph has no cache.
        """
        if not self._past:
            raise Unsupported("model.onnx has no inputs past_key_values.<i>.key: it has no cache")
        return ArraySession(self._step, self._empty(batch))

    def _step(
        self, ids_BT: Ints, mask_BS: Ints, positions_BT: Ints, past: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        feed = self._feed(ids_BT, mask_BS, positions_BT, past)
        logits_BTV, *present = self._run(["logits", *self._present], feed)
        return logits_BTV, tuple(present)

    def _empty(self, batch: int) -> tuple[Array, ...]:
        """Return keys and values of no tokens, each (B, G, 0, K)."""
        return tuple(
            np.zeros((batch, value.shape[1], 0, value.shape[3]), value.dtype)
            for value in (self._inputs[name] for name in self._past)
        )

    def _feed(self, *arrays: Any) -> dict[str, Array]:
        *tokens, past = arrays
        given = dict(zip(_TOKENS, tokens, strict=True)) | dict(zip(self._past, past, strict=True))
        return {name: array for name, array in given.items() if name in self._inputs}

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Refuse: a graph answers its outputs alone."""
        del input_ids_BT, attention_mask_BT, position_ids_BT
        raise Unsupported("model.onnx has no outputs for hidden states")
