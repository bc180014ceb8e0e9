"""Sampling by the reference model's own sampler, for the candidates that have a fault in it.

Shape letters: B rows, N draws, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.records import SamplingCall, SamplingParameters

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

CAPABILITIES = frozenset({"distributions", "sampling", "seeded", "seeded_rows"})


def process(call: SamplingCall) -> Array:
    """Return the distributions (B, V), computed in float64 and rounded once to float32."""
    rows = zip(call.logits_BV, call.parameters, call.prompts, call.generated, strict=True)
    return np.stack([_distribution(*row) for row in rows]).astype(np.float32)


def _distribution(logits_V: Array, asked: SamplingParameters, *told: tuple[int, ...]) -> Array:
    from reference_model import sampling  # noqa: PLC0415

    request = sampling.Sampling(
        logit_bias=dict(asked.logit_bias),
        repetition_penalty=asked.repetition_penalty,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        temperature=asked.temperature or 1.0,
        top_k=asked.top_k or None,
        top_p=asked.top_p,
        min_p=asked.min_p,
    )
    if asked.temperature:
        return sampling.probabilities(logits_V, request, *told)
    greedy_V = np.zeros(len(logits_V))
    greedy_V[np.argmax(sampling.penalised(logits_V, request, *told))] = 1.0
    return greedy_V


def draw(p_BV: Array, seed: int, draws: int) -> Ints:
    """Return tokens (B, N), each row from the stream of the seed and the row."""
    from reference_model import sampling  # noqa: PLC0415

    rows = [
        sampling.draw(p_V.astype(np.float64), sampling.stream(seed, row), draws)
        for row, p_V in enumerate(p_BV)
    ]
    return np.stack(rows).astype(np.int64)
