"""What a decoder keeps of a source and of the target so far. B batch, H heads, S keys, K head dim.

The keys and values of the source are computed once; those of the target grow with each step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class KeysValues(NamedTuple):
    """What an attention reads."""

    keys_BHSK: Tensor
    values_BHSK: Tensor

    def picked(self, rows_N: Tensor) -> KeysValues:
        """Return some rows of both."""
        return KeysValues(self.keys_BHSK[rows_N], self.values_BHSK[rows_N])


class TargetCache(NamedTuple):
    """A source and the target so far; steps return a new one."""

    source: tuple[KeysValues, ...]
    """Of each layer, made once of the encoded source."""
    visible_B11S: Tensor
    """Which tokens of the source are seen."""
    own: tuple[KeysValues, ...]
    """Of each layer, of the target tokens so far."""

    def picked(self, rows_N: Tensor) -> TargetCache:
        """Return a cache whose row i is row ``rows_N[i]`` of this one; int64 (N,)."""
        # SEQ-015: a row is its source, its mask and its target.
        source, own = (
            tuple(layer.picked(rows_N) for layer in kept) for kept in (self.source, self.own)
        )
        return TargetCache(source, self.visible_B11S[rows_N], own)
