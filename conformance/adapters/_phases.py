"""RotaryPhases: its attributes, and the numbers in its scalings that are no tensors, for adapters.

A reading of its own, from the papers and the authors' code: the oracle is held against it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Attributes = Mapping[str, Any]

DEFAULTS: Attributes = {
    "theta": 10000.0,
    "dim": None,
    "dtype": "float32",
    "scaling": "none",
    "factor": 1.0,
    "original_max_position_embeddings": 0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": 1,
    "attention_factor": 0.0,
    "mscale": 0.0,
    "mscale_all_dim": 0.0,
    "short_factor": (),
    "long_factor": (),
}


def unscaled(plain_R: Any, _: Attributes, __: Any) -> tuple[Any, float]:
    """Return the frequencies as they are, and the factor of cosine and sine."""
    return plain_R, 1.0


def linear(plain_R: Any, attributes: Attributes, _: Any) -> tuple[Any, float]:
    """Return all frequencies slowed alike (Chen et al. 2023), and the factor."""
    return plain_R / attributes["factor"], 1.0


def yarn_ramp(attributes: Attributes) -> tuple[float, float]:
    """Return the pair at which slowing begins, and how many it takes (Peng et al. 2023, 3.2)."""
    low, high = (_corner(attributes, attributes[name]) for name in ("beta_fast", "beta_slow"))
    if attributes["truncate"]:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, attributes["dim"] - 1)
    return low, (high - low) or 0.001


def _corner(attributes: Attributes, turns: float) -> float:
    """Return the pair that turns so often within the original length."""
    length = attributes["original_max_position_embeddings"] / (turns * 2 * math.pi)
    corner: float = attributes["dim"] * math.log(length) / (2 * math.log(attributes["theta"]))
    return corner


def yarn_factor(attributes: Attributes) -> float:
    """Return the factor of cosine and sine (Peng et al. 2023, 3.3), if none is given."""
    if attributes["attention_factor"]:
        return float(attributes["attention_factor"])
    weights = attributes["mscale"], attributes["mscale_all_dim"]
    above, below = weights if all(weights) else (1.0, 0.0)
    logarithm = math.log(max(attributes["factor"], 1.0))
    return float((0.1 * above * logarithm + 1) / (0.1 * below * logarithm + 1))


def longrope_factor(attributes: Attributes) -> float:
    """Return the factor of cosine and sine (Ding et al. 2024), if none is given."""
    if attributes["attention_factor"]:
        return float(attributes["attention_factor"])
    length = attributes["original_max_position_embeddings"]
    share = math.log(max(attributes["factor"], 1.0)) / math.log(length)
    return math.sqrt(1 + share)
