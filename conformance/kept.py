"""Answers that a run keeps, by their digest: the logits of the frozen corpus, where they are small.

From these the distance between two runs is computed when both are over, without either runtime.
Shape letters: N judged tokens, V vocabulary.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from conformance.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from conformance.checked import CheckedEncoder, CheckedEncoderDecoder, CheckedModel

    Array = NDArray[Any]

_FOLDER = "evidence/logits"
_MOST_BYTES = 16 << 20
"""Of one model's logits; beyond it (a vocabulary of 100,000) a run keeps none."""


def keep(model: CheckedModel | CheckedEncoder | CheckedEncoderDecoder, run: Path) -> str | None:
    """Write the candidate's logits of the frozen corpus, where it was asked for them.

    Args:
        model: the candidate's model, after the checks; those that encode have no such logits.
        run: the run folder.

    Returns:
        The digest that they are kept by; None where there are none, or too many.
    """
    answer_BTV = model.__dict__.get("answer_BTV")
    if answer_BTV is None:
        return None
    # float32 holds each narrower number, and NumPy's format knows it; ml_dtypes' it does not.
    judged_NV = answer_BTV[cast("CheckedModel", model).corpus.judged_BT]
    wide_NV = judged_NV.astype(np.float32) if judged_NV.dtype.itemsize < 4 else judged_NV
    if wide_NV.nbytes > _MOST_BYTES:
        return None
    written = io.BytesIO()
    np.save(written, wide_NV, allow_pickle=False)
    digest = hashlib.sha256(written.getvalue()).hexdigest()
    write_atomically(_file(run, digest), written.getvalue())
    return digest


def load(run: Path, digest: str) -> Array | None:
    """Return kept logits (N, V) in fp64; None where they are not there, or are not those."""
    try:
        data = _file(run, digest).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            return None
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError):
        return None


def _file(run: Path, digest: str) -> Path:
    return run / _FOLDER / f"{digest}.npy"
