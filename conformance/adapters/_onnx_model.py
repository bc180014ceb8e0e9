"""A decoder as an ONNX graph, with a key/value cache that goes in and comes out: any runtime's.

Logits and cache are always those of the graph as it is; inner values are shown by a second one.
B batch, T tokens, S keys, G key/value heads, D model, K head dim, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters import _onnx_taps
from conformance.adapters._session import ArraySession
from conformance.errors import NotInBuild, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Run = Callable[[list[str], dict[str, Array]], Sequence[Array]]
    Shown = Callable[[Sequence[str], Ints, Ints, Ints], Sequence[Array]]

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
        file: the graph, where inner values of it can be shown.
        opened: opens a changed graph, whose weights beside it are those of the file's.
    """

    def __init__(
        self,
        run: Run,
        inputs: Mapping[str, Input],
        outputs: Sequence[str],
        file: Path | None = None,
        opened: Callable[[Any], Run] | None = None,
    ) -> None:
        self._run, self._inputs = run, inputs
        self.graph_file, self._opened = file, opened
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
        feed = self.feed(input_ids_BT, attention_mask_BT, position_ids_BT)
        return self._run(["logits"], feed)[0]

    def feed(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the graph's inputs, by name, for tokens before which there are none."""
        past = self._empty(len(input_ids_BT))
        return self._feed(input_ids_BT, attention_mask_BT, position_ids_BT, past)

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
        """Return the residual stream (B, T, D) after each layer, by a graph opened for this call.

        Raises:
            NotInBuild: it cannot be found in the graph.
        """
        if self.graph_file is None:
            raise NotInBuild("this adapter shows no inner values of model.onnx: no hidden states")
        taps = _onnx_taps.taps(_onnx_taps.read(self.graph_file).graph)
        shown = self.showing([*taps.values()])
        states = shown([*taps.values()], input_ids_BT, attention_mask_BT, position_ids_BT)
        return dict(zip(taps, states, strict=True))

    def showing(self, names: Sequence[str]) -> Shown:
        """Open the graph with inner values as outputs (see ``candidate.Inspectable``)."""
        assert self.graph_file is not None
        assert self._opened is not None
        run = self._opened(_onnx_taps.with_outputs(_onnx_taps.read(self.graph_file), names))

        def shown(
            wanted: Sequence[str], ids_BT: Ints, mask_BT: Ints, positions_BT: Ints
        ) -> Sequence[Array]:
            return run(list(wanted), self.feed(ids_BT, mask_BT, positions_BT))

        return shown
