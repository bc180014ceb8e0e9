"""What tests of bounds share: honest float32 sums in several orders, and the ratio to a bound."""

from __future__ import annotations

import numpy as np

f32 = np.float32
NOT_VACUOUS = 0.1
"""The worst honest ratio over all seeds lies above this, or the bound would be loose."""


def rho(observed, value, bound):
    """Return the largest ratio of error to bound; special values have to be equal."""
    observed, value = np.asarray(observed, dtype=np.float64), np.asarray(value)
    special = ~np.isfinite(value)
    assert np.array_equal(observed[special], value[special], equal_nan=True)
    error = np.abs(np.where(special, 0, observed) - np.where(special, 0, value))
    assert not np.isnan(error).any()
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.where(error == 0, 0.0, error / bound).max(initial=0.0))


def forwards(x):
    return np.cumsum(x, axis=-1, dtype=f32)[..., -1]


def backwards(x):
    return forwards(x[..., ::-1])


def pairwise(x):
    x = np.ascontiguousarray(x)
    while x.shape[-1] > 1:
        if x.shape[-1] % 2:
            x = np.concatenate([x, np.zeros((*x.shape[:-1], 1), f32)], axis=-1)
        x = x[..., ::2] + x[..., 1::2]
    return x[..., 0]


def in_blocks(x, size=16):
    pad = -x.shape[-1] % size
    x = np.concatenate([x, np.zeros((*x.shape[:-1], pad), f32)], axis=-1)
    return forwards(forwards(x.reshape(*x.shape[:-1], -1, size)))


SUMS = (forwards, backwards, pairwise, in_blocks)
"""Along the last axis, of float32 numbers."""


def draw(rng, *shape):
    """Return float32 numbers of a random scale and kind: plain, positive, constant, one outlier."""
    x = rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 2)
    kind = rng.integers(4)
    if kind == 1:
        x = np.abs(x)
    elif kind == 2:
        x = np.broadcast_to(x[..., :1], shape).copy()
    elif kind == 3:
        x[..., -1] *= 300
    return x.astype(f32)
