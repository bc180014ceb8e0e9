"""Encoder-decoders of Transformers: T5ForConditionalGeneration and MarianMTModel.

Each with its own caches.

Shape letters: B batch, S source tokens, T target tokens, D model, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters import _torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from conformance.package import ModelPackage

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


def load(package: ModelPackage, settings: Mapping[str, Any]) -> EncoderDecoder:
    """Load a package's folder.

    Args:
        package: an encoder-decoder's.
        settings: how ``from_pretrained`` loads.
    """
    from transformers import AutoModelForSeq2SeqLM  # noqa: PLC0415

    model = AutoModelForSeq2SeqLM.from_pretrained(str(package.path), **settings)
    return EncoderDecoder(model.eval())


class EncoderDecoder:
    """A whole model of Transformers."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def decode_tokens(
        self, source_ids_BS: Ints, source_mask_BS: Ints, target_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the encoded source, (B, S, D), and the target's logits, (B, T, V)."""
        import torch  # noqa: PLC0415

        given = {
            "input_ids": source_ids_BS,
            "attention_mask": source_mask_BS,
            "decoder_input_ids": target_ids_BT,
        }
        tensors = {name: _torch.to_tensor(array, "cpu") for name, array in given.items()}
        with torch.no_grad():
            output = self._model(**tensors, use_cache=False)
        return {
            name: _torch.to_array(getattr(output, name))
            for name in ("encoder_last_hidden_state", "logits")
        }

    def start_target(self, source_ids_BS: Ints, source_mask_BS: Ints) -> _Target:
        """Encode a source; return its session of no target token."""
        import torch  # noqa: PLC0415

        ids, mask = (_torch.to_tensor(x, "cpu") for x in (source_ids_BS, source_mask_BS))
        with torch.no_grad():
            encoded = self._model.get_encoder()(input_ids=ids, attention_mask=mask)
        return _Target(self._model, encoded, mask)


class _Target:
    def __init__(self, model: Any, encoded: Any, mask: Any) -> None:
        self._model, self._encoded, self._mask = model, encoded, mask
        self._kept: Any = None

    def append_target(self, target_ids_BT: Ints) -> Array:
        """Feed T more target tokens; return their logits (B, T, V)."""
        import torch  # noqa: PLC0415

        with torch.no_grad():
            output = self._model(
                encoder_outputs=self._encoded,
                attention_mask=self._mask,
                decoder_input_ids=_torch.to_tensor(target_ids_BT, "cpu"),
                past_key_values=self._kept,
                use_cache=True,
            )
        self._kept = output.past_key_values
        return _torch.to_array(output.logits)

    def reorder_target(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was, as its beam search does."""
        import torch  # noqa: PLC0415

        picked = torch.tensor(list(rows))
        if self._kept is not None:
            self._kept.reorder_cache(picked)
        states = self._encoded.last_hidden_state.index_select(0, picked)
        self._encoded = type(self._encoded)(last_hidden_state=states)
        self._mask = self._mask.index_select(0, picked)
