"""What can be said of an error that no known fault explains: where it sits, what it grows with.

Shape letters: B batch, T tokens, N judged tokens, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.matched_filter import SURE, strength

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from conformance.diagnosis.scene import Scene
    from conformance.oracles.corpus import Corpus

    Array = NDArray[Any]

_MUCH = 0.9
"""Share of the squared error that has to lie in one place for the place to be named."""
_TYPE = (0.5, 2.0)
"""Ratio to a type's noise within which an error is that type's."""


def not_finite(answer_BTV: Array, corpus: Corpus) -> str:
    """Return where NaN and infinity are."""
    bad_BTV = ~np.isfinite(answer_BTV.astype(np.float64))
    rows = np.flatnonzero(bad_BTV.any(axis=(1, 2)))
    padded = (corpus.attention_mask_BT[rows] == 0).any()
    share = bad_BTV.mean()
    where = f"in rows {', '.join(map(str, rows))} of the batch"
    hint = "; a padded row is among them, and a query without keys is 0 / 0" if padded else ""
    return f"no known fault fits; {share:.1%} of the logits are not finite, {where}{hint}"


NOTHING = "no known fault fits"
"""How a sentence begins where every known fault was tried."""


def of_logits(
    scene: Scene, corpus: Corpus, type_noise: Mapping[str, float], tried: str = NOTHING
) -> str:
    """Return what is known of an error, in one sentence that begins with what was tried."""
    error_NV = scene.observed_NV - scene.exact_NV
    found = [
        *_scaled(scene),
        *_typed(error_NV, type_noise),
        *_concentrated(error_NV, corpus),
        *_growing(error_NV, corpus),
    ]
    told = "; ".join(found) if found else "it is spread evenly over rows, tokens and vocabulary"
    size = scene.distance(scene.exact_NV)
    return f"{tried}; the error of {size:.3g} noise units: {told}"


def _scaled(scene: Scene) -> Iterator[str]:
    centred_NV = scene.exact_NV - scene.exact_NV.mean(axis=-1, keepdims=True)
    error_NV = scene.observed_NV - scene.exact_NV
    error_NV = error_NV - error_NV.mean(axis=-1, keepdims=True)
    gain = strength(error_NV, centred_NV)
    rest = np.sum((error_NV - gain.value * centred_NV) ** 2)
    if rest < (1 - _MUCH) * np.sum(error_NV**2) and gain.z > SURE:
        yield f"logits are the exact ones times {1 + gain.value:.6g}"


def _typed(error_NV: Array, type_noise: Mapping[str, float]) -> Iterator[str]:
    rms = float(np.sqrt(np.mean(error_NV**2)))
    for name, noise in type_noise.items():
        if _TYPE[0] <= rms / noise <= _TYPE[1]:
            yield f"it is as large as if all were computed in {name} ({rms / noise:.2f} of that)"


def _concentrated(error_NV: Array, corpus: Corpus) -> Iterator[str]:
    squares_N, squares_V = (error_NV**2).sum(axis=1), (error_NV**2).sum(axis=0)
    total = squares_N.sum()
    rows_N, tokens_N = np.nonzero(corpus.judged_BT)
    for row in np.unique(rows_N):
        if squares_N[rows_N == row].sum() > _MUCH * total:
            yield f"it is in row {row} of the batch alone"
    last = np.array([tokens_N[rows_N == row].max() for row in rows_N])
    if squares_N[tokens_N == last].sum() > _MUCH * total:
        yield "it is at the last token of each row alone"
    order = np.argsort(squares_V)[::-1]
    needed = int(np.searchsorted(np.cumsum(squares_V[order]), _MUCH * total)) + 1
    if needed <= max(1, len(squares_V) // 20):
        first, end = order[:needed].min(), order[:needed].max()
        yield f"it is in {needed} of {len(squares_V)} vocabulary entries, from {first} to {end}"


def _growing(error_NV: Array, corpus: Corpus) -> Iterator[str]:
    rms_N = np.sqrt((error_NV**2).mean(axis=1))
    at_N = corpus.position_ids_BT[corpus.judged_BT]
    ranks_N, places_N = (np.argsort(np.argsort(x)).astype(float) for x in (rms_N, at_N))
    correlation = float(np.corrcoef(ranks_N, places_N)[0, 1])
    if abs(correlation) > SURE / np.sqrt(len(rms_N)):
        grows = "grows" if correlation > 0 else "shrinks"
        yield f"it {grows} with the position (rank correlation {correlation:.2f})"
