"""An encoder as an ONNX graph: any runtime's. B batch, T tokens, D model, V vocabulary."""

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

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUTS = ("last_hidden_state", "pooler_output", "logits")


class GraphEncoder:
    """A graph with the inputs and outputs that exporters have agreed on, matched by name.

    Args:
        run: computes the named outputs of a feed, in order.
        inputs: the names of the graph's inputs; it may do without any of them.
        outputs: the names of its outputs.
    """

    def __init__(self, run: Run, inputs: Collection[str], outputs: Sequence[str]) -> None:
        self._run, self._inputs = run, frozenset(inputs)
        self._outputs = [name for name in _OUTPUTS if name in outputs]
        unknown = self._inputs - set(_INPUTS)
        if unknown or not self._outputs:
            raise Unsupported(
                f"model.onnx has inputs {sorted(unknown)} that mean nothing here, or none of the "
                f"outputs {', '.join(_OUTPUTS)} (it has {', '.join(outputs)}); understood are the "
                f"inputs {', '.join(_INPUTS)}"
            )

    def encode_tokens(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, token_type_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return (B, T, D), (B, D) and (B, T, V), of those that the graph has."""
        given = dict(
            zip(_INPUTS, (input_ids_BT, attention_mask_BT, token_type_ids_BT), strict=True)
        )
        feed = {name: array for name, array in given.items() if name in self._inputs}
        return dict(zip(self._outputs, self._run(self._outputs, feed), strict=True))
