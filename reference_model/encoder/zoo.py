"""The suite's own encoders: seeded, tiny, and knowing no language."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from reference_model.encoder.config import EncoderConfig
from reference_model.encoder.weights import EncoderDesign, make_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SuiteEncoder:
    """One of the suite's encoders. ``digest`` is ``weights.digest`` of its weights."""

    name: str
    summary: str
    config: EncoderConfig
    seed: int
    digest: str
    design: EncoderDesign

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights, float32, in canonical order."""
        return make_weights(self.config, self.seed, self.design)


_BASE = SuiteEncoder(
    name="bert-two-types",
    summary="an encoder: two token types, pooler, masked-token head, epsilon 1e-12",
    config=EncoderConfig(
        vocab=512,
        types=2,
        dim=96,
        layers=3,
        heads=6,
        hidden=256,
        max_positions=128,
        eps=1e-12,
        pooler=True,
        head=True,
    ),
    seed=101,
    digest="c1fbdacc7aac283370d0d7d6ac4ed217aaeef1567d5fa7991e32805a693ebd05",
    design=EncoderDesign(embedding=0.005),
)

_EPSILON = SuiteEncoder(
    name="bert-three-types",
    summary="an encoder: three token types, two wide heads, an epsilon of 1e-5 that counts",
    config=EncoderConfig(
        vocab=384,
        types=3,
        dim=64,
        layers=2,
        heads=2,
        hidden=160,
        max_positions=96,
        eps=1e-5,
        pooler=True,
        head=True,
    ),
    seed=102,
    digest="5ef1bdbe583a934658ee1c9891a8b1fcb3f8130e844ec4fdb13cd742f0b7410c",
    design=EncoderDesign(embedding=0.004),
)

ENCODERS: Mapping[str, SuiteEncoder] = MappingProxyType(
    {model.name: model for model in (_BASE, _EPSILON)}
)
"""The encoders by name."""
