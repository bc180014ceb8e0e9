"""What a decoder answers, and the cache that its next call is given.

Shape suffixes are those of ``model``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class LayerCache(NamedTuple):
    """The keys (already rotated) and values of one layer."""

    k_BGSK: Tensor
    v_BGSK: Tensor


Cache = tuple[LayerCache, ...]
"""One ``LayerCache`` per layer. A cache is a value: a call returns a new one, nothing remembers."""


class Output(NamedTuple):
    """What the decoder answers.

    ``taps`` has ``embedding``, ``layer.<i>.attention`` and ``layer.<i>.mlp`` (what each adds to the
    residual stream), ``layer.<i>`` (the stream after the block) and ``norm``, all (B, T, D), where
    they were asked for.
    """

    logits_BTV: Tensor
    cache: Cache
    taps: dict[str, Tensor]
