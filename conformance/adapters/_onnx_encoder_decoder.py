"""An encoder-decoder as ONNX graphs: any runtime's. B batch, S source, T target, P past tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.adapters._onnx_model import Input, Run

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_INPUTS = ("input_ids", "attention_mask", "decoder_input_ids")
_OUTPUTS = ("encoder_last_hidden_state", "logits")
_PAST, _PRESENT = "past_key_values.", "present."


class Graph(NamedTuple):
    """An opened graph: what computes its named outputs, its inputs by name, and its outputs."""

    run: Run
    inputs: Mapping[str, Input]
    outputs: Sequence[str]


class GraphEncoderDecoder:
    """A graph of a source and a whole target, its inputs and outputs matched by name.

    Args:
        run: computes the named outputs of a feed, in order.
        inputs: the names of the graph's inputs.
        outputs: the names of its outputs.
        parts: opens the graphs of the encoder and of steps, where the runtime has sessions.

    Raises:
        Unsupported: they are others.
    """

    def __init__(
        self,
        run: Run,
        inputs: Collection[str],
        outputs: Sequence[str],
        parts: Callable[[], tuple[Graph, Graph]] | None = None,
    ) -> None:
        self._run, self._open_parts = run, parts
        self._parts: tuple[Graph, Graph] | None = None
        if set(inputs) != set(_INPUTS) or not set(_OUTPUTS) <= set(outputs):
            raise Unsupported(
                f"model.onnx has the inputs {', '.join(sorted(inputs))} and the outputs "
                f"{', '.join(outputs)}; a graph of both sides is understood, with the inputs "
                f"{', '.join(_INPUTS)} and the outputs {', '.join(_OUTPUTS)}"
            )

    def decode_tokens(
        self, source_ids_BS: Ints, source_mask_BS: Ints, target_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the encoded source, (B, S, D), and the target's logits, (B, T, V)."""
        given = (source_ids_BS, source_mask_BS, target_ids_BT)
        answer = self._run(list(_OUTPUTS), dict(zip(_INPUTS, given, strict=True)))
        return dict(zip(_OUTPUTS, answer, strict=True))

    def start_target(self, source_ids_BS: Ints, source_mask_BS: Ints) -> _Target:
        """Encode a source; return its session of no target token.

        Raises:
            Unsupported: the graph of steps asks for what the encoder's does not answer.
        """
        if self._parts is None:
            assert self._open_parts is not None, "claimed where parts can be opened alone"
            self._parts = self._open_parts()
        encoder, steps = self._parts
        asked = sorted(name for name in steps.inputs if name.startswith(_PAST))
        wanted = [_present_of(name) for name in asked if ".encoder." in name]
        if not wanted or not set(wanted) <= set(encoder.outputs):
            raise Unsupported(
                f"decoder_with_past_model.onnx has the inputs {', '.join(steps.inputs)}, and "
                f"encoder_model.onnx the outputs {', '.join(encoder.outputs)}; wanted is "
                f"{_PRESENT}N.encoder.key of the one for {_PAST}N.encoder.key of the other"
            )
        feed = {"input_ids": source_ids_BS, "attention_mask": source_mask_BS}
        kept = dict(zip(wanted, encoder.run(wanted, feed), strict=True))
        for name in asked:
            if ".encoder." not in name:
                kept[_present_of(name)] = _empty(steps.inputs[name], len(source_ids_BS))
        return _Target(steps.run, kept, source_mask_BS)


def _present_of(past: str) -> str:
    """Return the name of the output that an input for keys or values is fed from."""
    return _PRESENT + past.removeprefix(_PAST)


def _empty(declared: Input, batch: int) -> Array:
    """Return keys or values of no token, (B, H, 0, K)."""
    _, heads, _, size = declared.shape
    return np.zeros((batch, heads, 0, size), declared.dtype)


class _Target:
    """A session: the source's keys and values, and the target's."""

    def __init__(self, run: Run, kept: dict[str, Array], mask_BS: Ints) -> None:
        self._run, self._kept, self._mask_BS = run, kept, mask_BS

    def append_target(self, target_ids_BT: Ints) -> Array:
        """Feed T more target tokens; return their logits (B, T, V)."""
        past = {_PAST + name.removeprefix(_PRESENT): kept for name, kept in self._kept.items()}
        feed = {"input_ids": target_ids_BT, "encoder_attention_mask": self._mask_BS, **past}
        grown = [name for name in self._kept if ".decoder." in name]
        logits, *answered = self._run(["logits", *grown], feed)
        self._kept |= dict(zip(grown, answered, strict=True))
        return logits

    def reorder_target(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was."""
        picked = list(rows)
        self._kept = {name: kept[picked] for name, kept in self._kept.items()}
        self._mask_BS = self._mask_BS[picked]
