"""The reference encoder in torch, on a device. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters import _torch

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


class TorchEncoder:
    """An encoder of the reference model, its weights rounded once to a type.

    Args:
        folder: the model package.
        dtype: torch's type of weights and activations.
        where: torch's device.
        compiled: whether torch compiles it, for free sizes.
    """

    def __init__(self, folder: Path, dtype: Any, where: Any, *, compiled: bool) -> None:
        from reference_model.encoder.model import load_encoder  # noqa: PLC0415

        encoder = load_encoder(folder, dtype).to(where)
        self._where = where
        self._forward = _torch.compiled(encoder) if compiled else encoder

    def encode_tokens(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, token_type_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return what it answers by the names of the reference model's exports."""
        import torch  # noqa: PLC0415

        given = (input_ids_BT, attention_mask_BT, token_type_ids_BT)
        with torch.no_grad():
            output = self._forward(*(_torch.to_tensor(array, self._where) for array in given))
        named = {
            "last_hidden_state": output.hidden_BTD,
            "pooler_output": output.pooled_BD,
            "logits": output.logits_BTV,
        }
        return {name: _torch.to_array(x) for name, x in named.items() if x is not None}
