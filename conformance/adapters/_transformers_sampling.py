"""Sampling with Transformers' own processors and torch's draw, as ``generate`` joins them.

Shape letters: B rows, N draws, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters import _torch
from conformance.records import SamplingPolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.records import SamplingCall, SamplingParameters

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

CAPABILITIES = frozenset({"distributions", "sampling", "seeded"})
POLICY = SamplingPolicy(
    order=("logit_bias", "repetition", "temperature", "top_k", "top_p", "min_p"),
    top_k_ties="all",
)
"""The order of ``GenerationMixin._get_logits_processor``; it has no presence penalty."""
_AT_ONCE = 1 << 22
"""Numbers that torch draws at a time: ``generate`` draws one token, and so does each row here."""


def process(call: SamplingCall) -> Array:
    """Return the distributions (B, V)."""
    import torch  # noqa: PLC0415

    rows = [_scores(call, row) for row in range(len(call.parameters))]
    shares = [
        _one_hot(scores_1V) if asked.temperature == 0 else torch.softmax(scores_1V, dim=-1)
        for scores_1V, asked in zip(rows, call.parameters, strict=True)
    ]
    return _torch.to_array(torch.cat(shares))


def _one_hot(scores_1V: Any) -> Any:
    import torch  # noqa: PLC0415

    return torch.nn.functional.one_hot(scores_1V.argmax(-1), scores_1V.shape[-1]).float()


def _scores(call: SamplingCall, row: int) -> Any:
    """Return the processed scores of a row, (1, V); the processors take one request at a time."""
    import torch  # noqa: PLC0415
    from transformers import LogitsProcessorList  # noqa: PLC0415

    ids_1T = torch.tensor([[*call.prompts[row], *call.generated[row]]], dtype=torch.long)
    scores_1V = torch.from_numpy(call.logits_BV[row : row + 1].copy())
    return LogitsProcessorList(_processors(call.parameters[row]))(ids_1T, scores_1V)


def _processors(asked: SamplingParameters) -> list[Any]:
    """Return what ``generate`` makes of these parameters; at temperature 0, without sampling."""
    import transformers as t  # noqa: PLC0415

    found: list[Any] = []
    if asked.logit_bias:
        found.append(t.SequenceBiasLogitsProcessor({(i,): float(b) for i, b in asked.logit_bias}))
    if asked.repetition_penalty != 1:
        found.append(t.RepetitionPenaltyLogitsProcessor(asked.repetition_penalty))
    if asked.temperature not in (0, 1):
        found.append(t.TemperatureLogitsWarper(asked.temperature))
    if asked.temperature and asked.top_k:
        found.append(t.TopKLogitsWarper(asked.top_k))
    if asked.temperature and asked.top_p < 1:
        found.append(t.TopPLogitsWarper(asked.top_p))
    if asked.temperature and asked.min_p:
        found.append(t.MinPLogitsWarper(asked.min_p))
    return found


def sample(call: SamplingCall, seed: int, draws: int) -> Ints:
    """Return tokens (B, N), each by the draw of one token from its row."""
    import torch  # noqa: PLC0415

    p_BV = torch.from_numpy(process(call))
    numbers = torch.Generator().manual_seed(seed)
    at_once = max(1, _AT_ONCE // p_BV.numel())
    found = []
    for start in range(0, draws, at_once):
        many = min(at_once, draws - start)
        rows = p_BV.repeat(many, 1)
        found.append(torch.multinomial(rows, 1, generator=numbers).view(many, -1).T)
    return np.ascontiguousarray(_torch.to_array(torch.cat(found, dim=1)), dtype=np.int64)
