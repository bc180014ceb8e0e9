"""What faults of operators share: calls of Attention that ask for something else.

B batch, T queries, S keys, past ones included.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

POSITIONS = ("is_causal", "left_window_size", "right_window_size")
"""The attributes by which a query's position hides keys from it."""


def ids(topic: str, *numbers: int) -> tuple[str, ...]:
    """Return the requirements of a topic by their numbers."""
    return tuple(f"{topic}-{number:03}" for number in numbers)


def changed(call: OperatorCall, attributes: dict[str, Any] | None = None, **inputs: Any) -> Any:
    """Return a call with some attributes and inputs replaced or added; None takes one away."""
    return dataclasses.replace(
        call,
        attributes=_with(call.attributes, attributes or {}),
        inputs=_with(call.inputs, inputs),
    )


def _with(old: Any, new: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **new}.items() if value is not None}


def past_length(call: OperatorCall) -> int:
    """Return how many keys the cache holds."""
    return call.inputs["past_key"].shape[2] if "past_key" in call.inputs else 0


def ahead(call: OperatorCall, offset: int | None = None) -> Any:
    """Return how far behind each query's position each key lies, (T, S)."""
    queries, keys = call.inputs["Q"].shape[-2], call.inputs["K"].shape[-2]
    past = past_length(call)
    start = past if offset is None else offset
    return np.arange(past + keys) - (np.arange(queries)[:, None] + start)


def seen(call: OperatorCall, ahead_TS: Any) -> Any:
    """Return the keys that a call's attributes leave to its queries, (T, S)."""
    left, right = (call.attributes.get(f"{side}_window_size", -1) for side in ("left", "right"))
    visible = np.full(ahead_TS.shape, fill_value=True)
    if call.attributes.get("is_causal"):
        visible &= ahead_TS <= 0
    if left >= 0:
        visible &= ahead_TS >= -left
    if right >= 0:
        visible &= ahead_TS <= right
    return visible


def under(honest: Honest, call: OperatorCall, visible: Any) -> Any:
    """Compute with a mask (T, S) in the place of what the attributes say of positions."""
    mask = call.inputs.get("attn_mask")
    if mask is not None:
        missing = visible.shape[-1] - mask.shape[-1]
        hidden = np.asarray(0 if mask.dtype == np.bool_ else -np.inf, mask.dtype)
        widths = [(0, 0)] * (mask.ndim - 1) + [(0, missing)]
        visible = np.where(visible, np.pad(mask, widths, constant_values=hidden), hidden)
    return honest(changed(call, dict.fromkeys(POSITIONS), attn_mask=visible))


def moved(honest: Honest, call: OperatorCall, offset: int) -> Any:
    """Compute with the first query at another position than the call has it."""
    if not any(call.attributes.get(name, 0) > 0 for name in POSITIONS):
        return honest(call)
    return under(honest, call, seen(call, ahead(call, offset)))
