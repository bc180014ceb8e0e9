"""Which tensors an encoder's folder holds: their names and shapes, whatever class wrote them.

``BertModel`` leaves out the ``bert.`` of the others' names, checkpoints that came from TensorFlow
call a norm's weight gamma, and which parts there are stands in no config. Everything else goes by
the names of ``BertForMaskedLM``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.oracles.encoder.architecture import EncoderArchitecture
from conformance.oracles.encoder.model import weight_shapes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from numpy.typing import NDArray

WORDS = "bert.embeddings.word_embeddings.weight"
_REPEATED = {
    "cls.predictions.decoder.weight": WORDS,
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
_ENDS = {"gamma": "weight", "beta": "bias"}
_OTHERS = ("bert.embeddings.position_ids", "cls.seq_relationship.")


def canonical_names(stored: Iterable[str]) -> dict[str, str]:
    """Return the stored name of each tensor by the name that it goes by here."""
    return {_canonical(name): name for name in stored}


def _canonical(stored: str) -> str:
    bare = stored.startswith(("embeddings.", "encoder.", "pooler."))
    layer, _, end = (f"bert.{stored}" if bare else stored).rpartition(".")
    return f"{layer}.{_ENDS.get(end, end)}"


def expected_shapes(
    config: Mapping[str, Any], names: Collection[str]
) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors of the parts that a folder has."""
    return weight_shapes(EncoderArchitecture.of(config, names))


def repeated(_: Mapping[str, Any]) -> dict[str, str]:
    """Return the tensors that may be stored once more, with what each has to repeat."""
    return _REPEATED


def constants(_: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the tensors that may be stored and are no weights, with their exact values: none."""
    return {}


def is_tolerated(name: str, _: Mapping[str, Any]) -> bool:
    """Return whether a tensor may be there and says nothing of what is computed."""
    return name in _REPEATED or name.startswith(_OTHERS)
