"""Faults of temperature, penalties and biases. A fault of ``process`` is drawn from as well.

B rows, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant
from conformance.mutants._calls import ids
from conformance.mutants._requests import asking

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import SamplingCall, SamplingParameters

    Honest = Callable[..., Any]

_PENALTIES = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}


@mutant("process", kills=ids("SAMPLE", 1), bug="generic")
def shares_in_bfloat16(honest: Honest, call: SamplingCall) -> Any:
    """Shares are rounded to bfloat16, the model's type."""
    return honest(call).astype(ml_dtypes.bfloat16).astype(np.float32)


@mutant("process", kills=ids("SAMPLE", 1), bug="generic")
def logits_in_float16(honest: Honest, call: SamplingCall) -> Any:
    """Logits are rounded to float16 before the softmax."""
    narrow_BV = call.logits_BV.astype(np.float16).astype(np.float32)
    return honest(dataclasses.replace(call, logits_BV=narrow_BV))


@mutant("process", kills=ids("SAMPLE", 2), bug="generic")
def temperature_one_percent_high(honest: Honest, call: SamplingCall) -> Any:
    """The temperature is a hundredth too high."""
    return honest(asking(call, lambda row: {"temperature": row.temperature * 1.01}))


@mutant("process", kills=ids("SAMPLE", 2, 12, 15), bug="generic")
def temperature_multiplies(honest: Honest, call: SamplingCall) -> Any:
    """Logits are multiplied by the temperature."""
    return honest(asking(call, lambda row: {"temperature": 1 / (row.temperature or 1e9)}))


@mutant("process", kills=ids("SAMPLE", 3), bug="generic")
def temperature_zero_becomes_a_tenth(honest: Honest, call: SamplingCall) -> Any:
    """A temperature below 0.1, 0 too, becomes 0.1."""
    return honest(asking(call, lambda row: {"temperature": max(row.temperature, 0.1)}))


@mutant("process", kills=ids("SAMPLE", 3), bug="generic")
def temperature_zero_forgets_penalties(honest: Honest, call: SamplingCall) -> Any:
    """At a temperature of 0 the most probable token is that of the raw logits."""
    return honest(asking(call, lambda row: _PENALTIES if row.temperature == 0 else {}))


@mutant("process", kills=ids("SAMPLE", 8), bug="huggingface/transformers#2302")
def repetition_penalty_divides_negative_logits(honest: Honest, call: SamplingCall) -> Any:
    """Negative logits are divided by the repetition penalty too, which makes them more probable."""
    logits_BV = call.logits_BV.copy()
    for b, row in enumerate(call.parameters):
        seen = np.unique([*call.prompts[b], *call.generated[b]])
        biased_V = np.array(logits_BV[b], np.float64)
        for token, more in row.logit_bias:
            biased_V[token] += more
        negative = seen[biased_V[seen] < 0]
        # The honest penalty multiplies by itself; what is left of that is a division.
        logits_BV[b, negative] += (biased_V / row.repetition_penalty**2 - biased_V)[negative]
    return honest(dataclasses.replace(call, logits_BV=logits_BV))


@mutant("process", kills=ids("SAMPLE", 8), bug="generic")
def repetition_penalty_ignored(honest: Honest, call: SamplingCall) -> Any:
    """Tokens that were seen are as probable as before."""
    return honest(asking(call, lambda _: {"repetition_penalty": 1.0}))


@mutant("process", kills=ids("SAMPLE", 8, 10), bug="generic")
def repetition_penalty_without_the_prompt(honest: Honest, call: SamplingCall) -> Any:
    """The repetition penalty looks at generated tokens alone."""
    return honest(dataclasses.replace(call, prompts=((),) * len(call.prompts)))


@mutant("process", kills=ids("SAMPLE", 9, 10), bug="NVIDIA/TensorRT-LLM#5623")
def penalties_count_the_prompt(honest: Honest, call: SamplingCall) -> Any:
    """The presence and the frequency penalty count the tokens of the prompt."""
    both = tuple(p + g for p, g in zip(call.prompts, call.generated, strict=True))
    return honest(dataclasses.replace(call, generated=both))


@mutant("process", kills=ids("SAMPLE", 8, 9, 10), bug="abetlen/llama-cpp-python#1295")
def penalties_look_at_the_last_tokens(honest: Honest, call: SamplingCall) -> Any:
    """Penalties look at the last four tokens alone."""
    last = tuple(row[-4:] for row in call.generated)
    none = ((),) * len(call.prompts)
    return honest(dataclasses.replace(call, prompts=none, generated=last))


@mutant("process", kills=ids("SAMPLE", 8, 9, 10), bug="generic")
def penalties_miss_the_newest_token(honest: Honest, call: SamplingCall) -> Any:
    """The newest token is not yet among those that penalties look at."""
    # Penalties of the one that is met twice differ as well, which is the same fault.
    earlier = tuple(row[:-1] for row in call.generated)
    return honest(dataclasses.replace(call, generated=earlier))


@mutant("process", kills=ids("SAMPLE", 9), bug="generic")
def presence_and_frequency_swapped(honest: Honest, call: SamplingCall) -> Any:
    """The presence penalty is taken each time, the frequency penalty once."""

    def swapped(row: SamplingParameters) -> dict[str, Any]:
        return {
            "presence_penalty": row.frequency_penalty,
            "frequency_penalty": row.presence_penalty,
        }

    return honest(asking(call, swapped))


@mutant("process", kills=ids("SAMPLE", 9), bug="generic")
def presence_penalty_dropped(honest: Honest, call: SamplingCall) -> Any:
    """The presence penalty is ignored."""
    return honest(asking(call, lambda _: {"presence_penalty": 0.0}))


@mutant("process", kills=ids("SAMPLE", 11), bug="generic")
def bias_of_the_next_token(honest: Honest, call: SamplingCall) -> Any:
    """A bias is added to the token behind its own."""
    size = call.logits_BV.shape[1]

    def shifted(row: SamplingParameters) -> dict[str, Any]:
        return {"logit_bias": tuple(((token + 1) % size, b) for token, b in row.logit_bias)}

    return honest(asking(call, shifted))


@mutant("process", kills=ids("SAMPLE", 13), bug="generic")
def first_rows_parameters_for_all(honest: Honest, call: SamplingCall) -> Any:
    """Every row of a batch is processed by the parameters of the first."""
    rows = (call.parameters[0],) * len(call.parameters)
    return honest(dataclasses.replace(call, parameters=rows))


@mutant("process", kills=("SAMPLE-013",), bug="generic")
def greedy_rows_make_all_greedy(honest: Honest, call: SamplingCall) -> Any:
    """Where one row of a batch asks for a temperature of 0, all rows are greedy."""
    if all(one.temperature for one in call.parameters):
        return honest(call)
    greedy = tuple(dataclasses.replace(one, temperature=0.0) for one in call.parameters)
    return honest(dataclasses.replace(call, parameters=greedy))


@mutant("process", kills=ids("SAMPLE", 8, 9, 10, 13), bug="generic")
def histories_of_the_next_row(honest: Honest, call: SamplingCall) -> Any:
    """A row's penalties look at the tokens of the row behind it."""
    prompts, generated = ((*rows[1:], rows[0]) for rows in (call.prompts, call.generated))
    return honest(dataclasses.replace(call, prompts=prompts, generated=generated))


@mutant(
    "process",
    bug="generic",
    equivalent="Powers of two are exact, and a quotient of both sides by one is the same number.",
)
def logits_and_temperature_halved(honest: Honest, call: SamplingCall) -> Any:
    """Logits, what is added to them and the temperature are half as large."""
    if any(row.temperature == 0 for row in call.parameters):
        return honest(call)

    def halved(row: SamplingParameters) -> dict[str, Any]:
        return {
            "temperature": row.temperature / 2,
            "presence_penalty": row.presence_penalty / 2,
            "frequency_penalty": row.frequency_penalty / 2,
            "logit_bias": tuple((token, bias / 2) for token, bias in row.logit_bias),
        }

    return honest(dataclasses.replace(asking(call, halved), logits_BV=call.logits_BV / 2))
