"""The reference encoder-decoder in torch, on a device. B batch, S source, T target tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters import _torch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


class TorchEncoderDecoder:
    """An encoder-decoder of the reference model, its weights rounded once to a type.

    Args:
        folder: the model package.
        dtype: torch's type of weights and activations.
        where: torch's device.
        compiled: whether torch compiles the whole pass, for free sizes; steps are eager.
    """

    def __init__(self, folder: Path, dtype: Any, where: Any, *, compiled: bool) -> None:
        from reference_model.encoder_decoder.loading import (  # noqa: PLC0415
            load_encoder_decoder,
        )

        self._model, self._where = load_encoder_decoder(folder, dtype).to(where), where
        self._forward = _torch.compiled(self._model) if compiled else self._model

    def decode_tokens(
        self, source_ids_BS: Ints, source_mask_BS: Ints, target_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the encoded source, (B, S, D), and the target's logits, (B, T, V)."""
        import torch  # noqa: PLC0415

        given = (source_ids_BS, source_mask_BS, target_ids_BT)
        with torch.no_grad():
            encoded, logits = self._forward(*(_torch.to_tensor(x, self._where) for x in given))
        return {
            "encoder_last_hidden_state": _torch.to_array(encoded),
            "logits": _torch.to_array(logits),
        }

    def start_target(self, source_ids_BS: Ints, source_mask_BS: Ints) -> _Target:
        """Encode a source; return its session of no target token."""
        import torch  # noqa: PLC0415

        ids, mask = (_torch.to_tensor(x, self._where) for x in (source_ids_BS, source_mask_BS))
        with torch.no_grad():
            cache = self._model.start(self._model.encode(ids, mask), mask)
        return _Target(self._model, cache, self._where)


class _Target:
    def __init__(self, model: Any, cache: Any, where: Any) -> None:
        self._model, self._cache, self._where = model, cache, where

    def append_target(self, target_ids_BT: Ints) -> Array:
        """Feed T more target tokens; return their logits (B, T, V)."""
        import torch  # noqa: PLC0415

        with torch.no_grad():
            ids = _torch.to_tensor(target_ids_BT, self._where)
            logits, self._cache = self._model.step(ids, self._cache)
        return _torch.to_array(logits)

    def reorder_target(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was."""
        import torch  # noqa: PLC0415

        self._cache = self._cache.picked(torch.tensor(list(rows), device=self._where))
