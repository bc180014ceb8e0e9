"""Which row of a bias table a distance has (Raffel et al. 2020, section 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from reference_model.encoder_decoder.config import Buckets


def bucket_of(ahead_TS: Tensor, buckets: Buckets, *, causal: bool) -> Tensor:
    """Return the row of each distance, int64, of any shape.

    Args:
        ahead_TS: the key's place less the query's.
        buckets: how distances share the rows.
        causal: whether keys ahead are seen by nobody, so that those behind have all rows.
    """
    if causal:
        return _row_of((-ahead_TS).clamp(min=0), buckets.count, buckets.max_distance)
    # SEQ-003: keys behind the query have the second half of the rows.
    half = buckets.count // 2
    return half * (ahead_TS > 0) + _row_of(ahead_TS.abs(), half, buckets.max_distance)


def _row_of(distance_TS: Tensor, rows: int, max_distance: int) -> Tensor:
    """Return the row of each distance from 0 on, of as many as one side has."""
    exact = rows // 2
    borders = first_distances(exact, rows - exact, max_distance)
    own_TS = distance_TS.clamp(max=exact - 1)
    far = torch.tensor(borders, device=distance_TS.device)
    return own_TS + (distance_TS.unsqueeze(-1) >= far).sum(-1)


def first_distances(exact: int, rows: int, max_distance: int) -> list[int]:
    """Return the smallest distance of each row that has several.

    Row n of them begins where exact * (max_distance / exact) ** (n / rows) is reached: in integers,
    since 16, 32 and 64 are just such places of T5's own 32 rows, where a logarithm may fall short.
    """
    borders, distance = [], exact
    for row in range(rows):
        while distance**rows * exact**row < max_distance**row * exact**rows:
            distance += 1
        borders.append(distance)
    return borders
