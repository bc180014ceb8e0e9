"""What a diagnosis of logits looks at. N judged tokens, V vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True)
class Scene:
    """A failing answer: the candidate's logits and the exact ones, with the unit of their error."""

    observed_NV: Array
    exact_NV: Array
    unit: float
    limit: float

    def distance(self, logits_NV: Array) -> float:
        """Return how far the candidate is from some logits, in noise units."""
        error = self.observed_NV - logits_NV
        return float(np.sqrt(np.mean(error * error))) / self.unit
