"""What is asked of sampling, as a frame carries it: logits as an array, all else as JSON values."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.errors import MalformedOutput
from conformance.records import SamplingCall, SamplingParameters, SamplingPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGITS = "logits"


def told(call: SamplingCall) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a call as JSON values and arrays."""
    fields = {
        "prompts": [list(map(int, row)) for row in call.prompts],
        "generated": [list(map(int, row)) for row in call.generated],
        "parameters": [dataclasses.asdict(row) for row in call.parameters],
    }
    return fields, {_LOGITS: call.logits_BV}


def call_in(fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> SamplingCall:
    """Return the call of such values."""
    return SamplingCall(
        logits_BV=arrays[_LOGITS],
        prompts=tuple(map(tuple, fields["prompts"])),
        generated=tuple(map(tuple, fields["generated"])),
        parameters=tuple(map(_parameters, fields["parameters"])),
    )


def _parameters(row: Mapping[str, Any]) -> SamplingParameters:
    pairs = tuple((int(token), float(bias)) for token, bias in row["logit_bias"])
    return SamplingParameters(**{**row, "logit_bias": pairs})


def policy_in(told: Any) -> SamplingPolicy | None:
    """Return the policy that a candidate's process tells, None where it tells none.

    Raises:
        MalformedOutput: it is none.
    """
    match told:
        case None:
            return None
        case {
            "order": list(order),
            "top_k_ties": str(),
            "repetition_sees": str(),
            "presence_sees": str(),
            "last_tokens": int(),
        } if len(told) == 5 and all(isinstance(step, str) for step in order):
            return SamplingPolicy.of(told)
    raise MalformedOutput(f"the candidate's sampling policy is malformed: {str(told)[:300]}")
