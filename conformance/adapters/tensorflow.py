"""TensorFlow: a Llama decoder of its functions, and those functions for the operators.

``tensorflow[:cpu|gpu|gpu:<n>][?dtype=float32|float16|bfloat16&mode=function|eager|xla]``. What is
under test is TensorFlow: its kernels, its graphs, its compiler. The decoder is a third one, beside
the reference model's and the oracle's. Shape letters: B batch, T tokens, S keys, V vocabulary.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from conformance.adapters import _llama, _tensorflow
from conformance.adapters._session import ArraySession
from conformance.adapters._tensorflow_decoder import Decoder
from conformance.adapters._tensorflow_operators import WIRING, Operators
from conformance.candidate import choose
from conformance.records import CandidateInfo, Claims

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import OperatorCall

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_CAPABILITIES = frozenset({"logits", "cache", "operators", "hidden_states"})
_PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""The precision contract that a ``dtype`` option claims; the default first."""
_ROUNDED = ("score", "probability", "intermediate")
"""Terms of a contract of 16 bits: each function that is called rounds its result to the type."""
_NOT_CLAIMED = {
    "float16": frozenset({"GeGLU", "Gelu", "LogSoftmax", "Sigmoid", "SwiGLU", "Swish"}),
    "bfloat16": frozenset({"GeGLU", "Gelu", "Sigmoid"}),
}
"""One call each, and TensorFlow 2.21 rounds within it, step by step.

Over all numbers of a type, by the bounds of the standard: bfloat16, sigmoid 2.2, Gelu 8.6, its tanh
form 244 (it is 0 from -3.06 on); float16, sigmoid 1.9, silu 1.09 (by XLA 2.6), Gelu 2.0 and 7.1. Of
generated inputs log-softmax was off by 1.09 bounds in float16.
"""


def _claims(dtype: str) -> Claims:
    """Return the claims in a type. In every type subnormal numbers may become zero."""
    terms: dict[str, str | bool] = {"flush_to_zero": True}
    if dtype == "float32":
        return Claims(_CAPABILITIES, _PRECISIONS[dtype], terms)
    terms |= dict.fromkeys(_ROUNDED, dtype)
    return Claims(_CAPABILITIES, _PRECISIONS[dtype], terms, WIRING.names - _NOT_CLAIMED[dtype])


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open TensorFlow on a device; ``dtype`` is the type of weights and activations, and the claim.

    Raises:
        CandidateUnavailable: TensorFlow is not installed, or the device or an option is unknown.
    """
    chosen = choose(
        options,
        {"dtype": tuple(_PRECISIONS), "mode": tuple(_tensorflow.MODES)},
    )
    _tensorflow.import_tensorflow()
    with _tensorflow.as_claimed():
        yield _Candidate(_tensorflow.device(target), chosen)


class _Candidate:
    """TensorFlow on one device, in one type and mode."""

    def __init__(self, where: Any, options: Mapping[str, str]) -> None:
        self._where, self._dtype, self._mode = where.name, options["dtype"], options["mode"]
        self._operators = Operators(self._mode)
        self.info = CandidateInfo(
            name="tensorflow",
            version=_tensorflow.tf().__version__,
            runtime=_tensorflow.runtime(self._mode),
            device=_tensorflow.device_name(where),
            claims=_claims(self._dtype),
        )

    def load(self, package: ModelPackage) -> _Model:
        """Load a package's weights into the decoder, rounded once to the type."""
        llama = _llama.read(package)
        with _tensorflow.tf().device(self._where):
            decoder = Decoder(llama, package.weights(), self._dtype)
        return _Model(decoder, self._mode, self._where)

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one standard operator by TensorFlow's own functions, in the inputs' types."""
        with _tensorflow.tf().device(self._where):
            return self._operators.compute(call)


class _Model:
    """The decoder in one mode on a device."""

    def __init__(self, decoder: Decoder, mode: str, where: str) -> None:
        self._decoder, self._where = decoder, where
        self._forward = _tensorflow.in_mode(mode, decoder.forward, decoder.signature())

    def _call(self, tokens: Sequence[Ints], past: tuple[Any, ...]) -> Any:
        with _tensorflow.tf().device(self._where):
            return self._forward(*(_tensorflow.to_tensor(array) for array in tokens), past)

    def _without_past(self, *tokens: Ints) -> Any:
        return self._call(tokens, self._decoder.no_past(len(tokens[0])))

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V)."""
        logits_BTV, _, _ = self._without_past(input_ids_BT, attention_mask_BT, position_ids_BT)
        return _tensorflow.to_array(logits_BTV)

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the stream after each block, (B, T, D)."""
        _, stream, _ = self._without_past(input_ids_BT, attention_mask_BT, position_ids_BT)
        return {f"layer.{i}": _tensorflow.to_array(x_BTD) for i, x_BTD in enumerate(stream)}

    def start(self, batch: int) -> ArraySession:
        """Return an empty session for ``batch`` rows."""
        return ArraySession(self._step, self._decoder.no_past(batch), take=_rows)

    def _step(
        self, ids_BT: Ints, mask_BS: Ints, positions_BT: Ints, past: tuple[Any, ...]
    ) -> tuple[Array, tuple[Any, ...]]:
        logits_BTV, _, longer = self._call((ids_BT, mask_BS, positions_BT), past)
        return _tensorflow.to_array(logits_BTV), longer


def _rows(tensor: Any, rows: Sequence[int]) -> Any:
    """Return some rows of a tensor, which cannot be picked by a list as those of an array can."""
    return _tensorflow.tf().gather(tensor, rows)
