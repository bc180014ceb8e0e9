"""An encoder-decoder as one ONNX graph: any runtime's. B batch, S source, T target tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from conformance.adapters._onnx_model import Run

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_INPUTS = ("input_ids", "attention_mask", "decoder_input_ids")
_OUTPUTS = ("encoder_last_hidden_state", "logits")


class GraphEncoderDecoder:
    """A graph of a source and a whole target, its inputs and outputs matched by name.

    Args:
        run: computes the named outputs of a feed, in order.
        inputs: the names of the graph's inputs.
        outputs: the names of its outputs.

    Raises:
        Unsupported: they are others.
    """

    def __init__(self, run: Run, inputs: Collection[str], outputs: Sequence[str]) -> None:
        self._run = run
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
