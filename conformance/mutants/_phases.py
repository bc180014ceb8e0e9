"""What the faults of RotaryPhases share: calls that ask for something else."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conformance.records import OperatorCall

PLAIN, LINEAR, LLAMA3 = ("ROPE-008",), ("ROPE-009",), ("ROPE-010",)
YARN, LONGROPE = ("ROPE-011", "ROPE-012"), ("ROPE-013",)
SCALED = (*LINEAR, *LLAMA3, *YARN, *LONGROPE)
EVERY = (*PLAIN, *SCALED)


def asked(call: OperatorCall, **attributes: Any) -> OperatorCall:
    """Return a call with some attributes replaced or added."""
    return dataclasses.replace(call, attributes={**call.attributes, **attributes})


def at(call: OperatorCall, position_ids: Any) -> OperatorCall:
    """Return a call at other positions."""
    return dataclasses.replace(call, inputs={"position_ids": position_ids})


def scaling(call: OperatorCall) -> str:
    """Return the scaling that a call asks for."""
    return str(call.attributes.get("scaling", "none"))
