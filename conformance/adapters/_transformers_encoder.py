"""Encoders of Transformers: its ``BertModel``, and the head of its ``BertForMaskedLM``.

The two classes read one folder, each the tensors that it knows: a head has no pooler and a pooler
no head. Shape letters: B batch, T tokens, D model, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters import _torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from conformance.package import ModelPackage

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


def load(package: ModelPackage, settings: Mapping[str, Any]) -> Encoder:
    """Load a package's folder.

    Args:
        package: an encoder's.
        settings: how ``from_pretrained`` loads.
    """
    from transformers import AutoModel, AutoModelForMaskedLM  # noqa: PLC0415

    tensors, folder = package.weights(), str(package.path)
    with_pooler = "bert.pooler.dense.weight" in tensors
    trunk = AutoModel.from_pretrained(folder, add_pooling_layer=with_pooler, **settings).eval()
    head = None
    if "cls.predictions.bias" in tensors:
        head = AutoModelForMaskedLM.from_pretrained(folder, **settings).eval()
    return Encoder(trunk, head)


class Encoder:
    """A trunk of Transformers, and a whole model with a head where there is one."""

    def __init__(self, trunk: Any, whole: Any) -> None:
        self._trunk, self._whole = trunk, whole

    def encode_tokens(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, token_type_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return (B, T, D), (B, D) and (B, T, V), of those that there are."""
        import torch  # noqa: PLC0415

        given = {
            "input_ids": input_ids_BT,
            "attention_mask": attention_mask_BT,
            "token_type_ids": token_type_ids_BT,
        }
        tensors = {name: _torch.to_tensor(array, "cpu") for name, array in given.items()}
        with torch.no_grad():
            output = self._trunk(**tensors)
            logits = None if self._whole is None else self._whole(**tensors).logits
        named = {
            "last_hidden_state": output.last_hidden_state,
            "pooler_output": output.pooler_output,
            "logits": logits,
        }
        return {name: _torch.to_array(x) for name, x in named.items() if x is not None}
