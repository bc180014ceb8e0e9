"""Attention with linear biases: scores fall with the distance of a key, by a slope of each head.

Shape suffixes are those of ``model``. Source: Press et al. 2022, section 3, and the authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor


def slopes(heads: int) -> tuple[float, ...]:
    """Return the slope of each head, as float64 numbers.

    Of a power of two they are 2 ** (-8 h / H) for h = 1 .. H. Of another number they are those of
    the power of two below it, and behind them each second one of twice as many, from the first on.
    """
    # LOGITS-001: the heads behind the power of two have slopes between those of the others.
    power = 1 << (heads.bit_length() - 1)
    whole = [2.0 ** (-8 * head / power) for head in range(1, power + 1)]
    between = [2.0 ** (-8 * head / (2 * power)) for head in range(1, 2 * power + 1, 2)]
    return (*whole, *between)[:heads]


def distances(allowed_B1TS: Tensor) -> Tensor:
    """Return how far each key stands behind a query, (B, 1, T, S), of the keys that it sees.

    It is how many of the keys that the query sees stand behind that key, its own among them.
    """
    # LOGITS-001: hidden tokens are no distance: a row that is padded has that of its real tokens.
    seen_B1TS = allowed_B1TS.to(torch.int64)
    return seen_B1TS.sum(-1, keepdim=True) - seen_B1TS.cumsum(-1)


def linear_bias(allowed_B1TS: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores of any scale, (B, H, T, S): minus slope times distance."""
    slope_H = torch.tensor(slopes(heads), dtype=dtype, device=allowed_B1TS.device)
    return -slope_H[:, None, None] * distances(allowed_B1TS).to(dtype)
