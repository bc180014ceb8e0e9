"""What a seeded model of the suite is: a config, a seed, and the digest of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference_model.weights import Design, make_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference_model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class SuiteModel:
    """One of the suite's models. ``digest`` is ``weights.digest`` of its weights."""

    name: str
    summary: str
    config: ModelConfig
    seed: int
    digest: str
    design: Design

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights, float32, in canonical order."""
        return make_weights(self.config, self.seed, self.design)
