"""Rotary phases: frequencies, their scaling, cosines and sines. R rotated pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from conformance.adapters import _phases
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _rotary_phases(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    positions_BT, name = inputs["position_ids"], attributes["scaling"]
    if name not in _SCALINGS:
        raise Unsupported(f"RotaryPhases: scaling {name!r} is not wired to torch")
    # As models do: phases in float32 at least, the result in the type of the activations.
    answered = getattr(torch, attributes["dtype"])
    wide = torch.float64 if answered == torch.float64 else torch.float32
    index = torch.arange(0, attributes["dim"], 2, device=positions_BT.device).to(wide)
    plain_R = 1.0 / attributes["theta"] ** (index / attributes["dim"])
    frequency_R, factor = _SCALINGS[name](plain_R, attributes, positions_BT)
    angle_BTR = positions_BT.to(wide).unsqueeze(-1) * frequency_R
    parts = {"cos": angle_BTR.cos(), "sin": angle_BTR.sin()}
    return {output: (part * factor).to(answered) for output, part in parts.items()}


def _llama3(plain_R: Any, attributes: Attributes, _: Any) -> tuple[Any, float]:
    low, high = attributes["low_freq_factor"], attributes["high_freq_factor"]
    turns_R = attributes["original_max_position_embeddings"] / (2 * math.pi / plain_R)
    kept_R = ((turns_R - low) / (high - low)).clamp(0, 1)
    return (1 - kept_R) * plain_R / attributes["factor"] + kept_R * plain_R, 1.0


def _yarn(plain_R: Any, attributes: Attributes, _: Any) -> tuple[Any, float]:
    import torch  # noqa: PLC0415

    dim = attributes["dim"]
    low, width = _phases.yarn_ramp(attributes)
    index = torch.arange(dim // 2, dtype=plain_R.dtype, device=plain_R.device)
    slowed_R = ((index - low) / width).clamp(0, 1)
    frequency_R = plain_R / attributes["factor"] * slowed_R + plain_R * (1 - slowed_R)
    return frequency_R, _phases.yarn_factor(attributes)


def _longrope(plain_R: Any, attributes: Attributes, positions_BT: Any) -> tuple[Any, float]:
    length = attributes["original_max_position_embeddings"]
    beyond = bool(positions_BT.max() + 1 > length)
    stretch = plain_R.new_tensor(attributes["long_factor" if beyond else "short_factor"])
    return plain_R / stretch, _phases.longrope_factor(attributes)


_SCALINGS = {
    "none": _phases.unscaled,
    "linear": _phases.linear,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}

OPERATORS = {"RotaryPhases": (_rotary_phases, _phases.DEFAULTS)}
