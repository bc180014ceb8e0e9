"""The fp64 encoder-decoder, its answers rounded once. B batch, S source, T target tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from conformance.oracles.encoder_decoder.ensemble import AnyEncoderDecoder

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


class ExactEncoderDecoder:
    """The oracle as a candidate's model.

    Args:
        exact: the oracle.
        dtype: the type that answers are rounded to.
    """

    def __init__(self, exact: AnyEncoderDecoder, dtype: np.dtype[Any]) -> None:
        self._exact, self._dtype = exact, dtype

    def decode_tokens(
        self, source_ids_BS: Ints, source_mask_BS: Ints, target_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the encoded source, (B, S, D), and the target's logits, (B, T, V)."""
        exact = self._exact.decode(source_ids_BS, source_mask_BS, target_ids_BT)
        with np.errstate(over="ignore", under="ignore"):  # infinity is what it rounds to
            return {name: array.astype(self._dtype) for name, array in exact.items()}

    def start_target(self, source_ids_BS: Ints, source_mask_BS: Ints) -> _Target:
        """Return a session that computes all tokens again in each step: no cache can be wrong."""
        return _Target(self, source_ids_BS, source_mask_BS)


class _Target:
    def __init__(self, model: ExactEncoderDecoder, ids_BS: Ints, mask_BS: Ints) -> None:
        self._model, self._source = model, (ids_BS, mask_BS)
        self._target_BT = np.zeros((len(ids_BS), 0), np.int64)

    def append_target(self, target_ids_BT: Ints) -> Array:
        """Feed T more target tokens; return their logits (B, T, V)."""
        past = self._target_BT.shape[1]
        self._target_BT = np.concatenate([self._target_BT, target_ids_BT], axis=1)
        return self._model.decode_tokens(*self._source, self._target_BT)["logits"][:, past:]

    def reorder_target(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was."""
        picked = list(rows)
        ids_BS, mask_BS = self._source
        self._source = ids_BS[picked], mask_BS[picked]
        self._target_BT = self._target_BT[picked]
