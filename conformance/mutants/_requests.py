"""What faults of sampling share: requests that ask for something else. V vocabulary, B rows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import SamplingCall, SamplingParameters

    Honest = Callable[..., Any]


def asking(call: SamplingCall, change: Callable[[SamplingParameters], dict[str, Any]]) -> Any:
    """Return a call whose rows ask for something else."""
    rows = tuple(dataclasses.replace(row, **change(row)) for row in call.parameters)
    return dataclasses.replace(call, parameters=rows)


def only(call: SamplingCall, *names: str) -> Any:
    """Return a call that asks for these parameters and for no others."""
    neutral = {f.name: f.default for f in dataclasses.fields(call.parameters[0])}
    left = {name: value for name, value in neutral.items() if name not in names}
    return asking(call, lambda _: left)


def then(honest: Honest, call: SamplingCall, first: Any, *names: str) -> Any:
    """Return what the parameters of these names make of shares that others have made."""
    with np.errstate(divide="ignore"):
        logits_BV = np.log(honest(first))
    none = ((),) * len(call.parameters)
    moved = dataclasses.replace(call, logits_BV=logits_BV, prompts=none, generated=none)
    return honest(only(moved, *names))
