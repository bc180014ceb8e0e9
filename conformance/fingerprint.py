"""In which type a candidate really computes, told by how large its error is. Standard library only.

Rounding errors of one type are alike whoever makes them, and those of types of other widths differ
by a factor of four at least. So an error that is as large as the noise of honest bfloat16
arithmetic was made in bfloat16, whatever is claimed. TF32 and float16, both of 11 bits, are told as
a pair. The judge says it of a failure, and reports draw it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HALF = 0.5
"""Share of a type's noise from which on an error counts as that type's: honest errors of one type
differ by a fifth, and those of types of other widths by a factor of four at least."""
METRIC = "in the noise of "
"""What the measurements are called, before the name of the precision."""
TYPES = {
    "fp64": "float64",
    "fp32": "float32",
    "tf32": "TF32",
    "fp16": "float16",
    "bf16": "bfloat16",
}
"""The type in which a precision computes."""


def precisions_of(units: Mapping[str, float], claimed: str) -> list[str]:
    """Return the precisions whose noise an error is as large as; none where it is like no type's.

    Args:
        units: the error as a share of the noise of each precision.
        claimed: the precision that is claimed: where the error is like its noise, it is believed.
    """
    alike = [name for name, unit in units.items() if HALF <= unit <= 1 / HALF]
    return [claimed] if claimed in alike else sorted(alike, key=lambda n: abs(math.log(units[n])))


def told(units: Mapping[str, float], claimed: str) -> str:
    """Return in words in which type a candidate computes, with the figures.

    Args:
        units: the error as a share of the noise of each precision, the widest first.
        claimed: the precision that is claimed.
    """
    if not all(math.isfinite(unit) for unit in units.values()):
        return f"claims {claimed}; its answer is not finite, and tells no type"
    found = precisions_of(units, claimed)
    if not found:
        return f"claims {claimed}, {_unlike(units, claimed)}"
    own = found[0]
    types = " or ".join(TYPES.get(name, name) for name in found)
    computes = f"computes in {types}: {_number(units[own])} units of its noise"
    others = [name for name in (claimed, list(units)[-1]) if name != own] or list(units)[-2:-1]
    more = "".join(f", {_number(units[name])} of {TYPES.get(name, name)}'s" for name in others[:1])
    return f"{computes}{more}" if own == claimed else f"claims {claimed}, {computes}{more}"


def _unlike(units: Mapping[str, float], claimed: str) -> str:
    """Return how large an error is that no type makes."""
    least, most = (
        f"{_number(units[name])} units of {TYPES.get(name, name)}'s noise"
        for name in (claimed, list(units)[-1])
    )
    if units[claimed] < HALF:
        return f"errs less than its type rounds: {least}"
    if min(units.values()) > 1 / HALF:
        return f"errs by more than the rounding of any type: {most}"
    return f"errs like no type: {least}, {most}"


def _number(value: float) -> str:
    """Return a number of three digits as one reads it: 16,000 and 0.0000682."""
    if value == 0 or not _WRITTEN[0] <= value < _WRITTEN[1]:
        return f"{value:.3g}"
    digits = 2 - math.floor(math.log10(value))
    return f"{round(value, digits):,.{max(digits, 0)}f}"


_WRITTEN = (1e-6, 1e9)
"""Numbers between these are written with all their zeros."""
