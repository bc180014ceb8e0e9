"""Logits and histories that sampling is tried on, and the calls that a requirement's cases make.

A case names parameters of a request by their own names, and beside them ``logits`` (a family),
``rows``, ``each`` (every row asks for something else) and ``bias``, pairs of a token id and what is
added to its logit. What a runtime does not have is left out of the request.

Shape letters: B rows, S tokens so far, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.oracles import sampling
from conformance.records import SamplingCall, SamplingParameters, SamplingPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedSampler

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Strategy = st.SearchStrategy[Any]
    Case = Mapping[str, Any]

_STEPS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repetition",
    "presence_penalty": "presence",
    "frequency_penalty": "frequency",
    "logit_bias": "logit_bias",
}
"""The step that a parameter belongs to."""
_HALF = 6
"""Tokens of the prompt, and as many that were generated."""
_SEEN = 6
"""Different ones: some stand in the prompt alone, some behind it, some in both, some often."""
_PROMPT, _GENERATED = (0, 0, 1, 2, 3, 0), (2, 2, 4, 2, 5, 4)
_TRIES = 1000
_EACH: tuple[dict[str, Any], ...] = (
    {"temperature": 0.7, "top_k": 5},
    {},
    {"temperature": 1.6, "repetition_penalty": 1.4, "presence_penalty": 0.5},
    {"top_p": 0.7, "min_p": 0.02},
    {"temperature": 0.0, "presence_penalty": 0.5},
    {"frequency_penalty": 0.4},
)
"""What the rows of a batch ask for, where each asks for something else."""
_LAST_SEED = 2**31 - 1
"""Runtimes take seeds of 32 bits, some of them signed."""


def _spread(numbers: np.random.Generator) -> Array:
    return numbers.normal(0, 3, 61)


def _wide(numbers: np.random.Generator) -> Array:
    return numbers.normal(0, 8, 97)


def _zipf(numbers: np.random.Generator) -> Array:
    return numbers.permutation(-1.1 * np.log(np.arange(1, 257))) + numbers.uniform(-4, 4)


def _heavy(numbers: np.random.Generator) -> Array:
    """Few tokens, each with a share that a wrong edge would move as a whole."""
    shares = np.array([0.34, 0.22, 0.14, 0.1, 0.07, 0.05, 0.04, 0.02, 0.01, 0.01])
    jitter = numbers.normal(0, 0.05, len(shares))
    return numbers.permutation(np.log(shares) + jitter) + numbers.uniform(-1, 4)


def _tied(numbers: np.random.Generator) -> Array:
    """Halves from -2 to 2, each met several times."""
    return numbers.integers(-4, 5, 37) / 2


def _masked(numbers: np.random.Generator) -> Array:
    """A grammar allows a third of the tokens: the others have minus infinity."""
    return np.where(numbers.permutation(61) % 3 == 0, numbers.normal(0, 3, 61), -np.inf)


_FAMILIES: dict[str, Callable[[np.random.Generator], Array]] = {
    "spread": _spread,
    "wide": _wide,
    "zipf": _zipf,
    "heavy": _heavy,
    "tied": _tied,
    "masked": _masked,
}


def histories(case: Case) -> Strategy:
    """Token ids (B, S): a prompt and what was generated, equally long."""

    def make(seed: int) -> Ints:
        numbers = np.random.default_rng([seed, 1])
        size = len(_FAMILIES[case["logits"]](numbers))
        rows = []
        for _ in range(case.get("rows", 2)):
            ids = numbers.choice(size, _SEEN, replace=False)
            halves = (numbers.permutation(np.array(half)) for half in (_PROMPT, _GENERATED))
            rows.append(ids[np.concatenate(list(halves))])
        return np.stack(rows).astype(np.int64)

    return st.builds(make, st.integers(0, _LAST_SEED))


def logits(sampler: CheckedSampler, case: Case, history_BS: Ints) -> Strategy:
    """Logits (B, V) of the case's family, float32, on which no token lies on a limit's edge."""
    policies = (sampler.policy, SamplingPolicy())

    def make(seed: int) -> Array:
        for attempt in range(_TRIES):
            numbers = np.random.default_rng([seed, attempt])
            rows = [_FAMILIES[case["logits"]](numbers) for _ in history_BS]
            made_BV = np.stack(rows).astype(np.float32)
            if all(_decided(case, made_BV, history_BS, policy) for policy in policies):
                return made_BV
        raise AssertionError(f"{_TRIES} rows of {case['logits']} logits lie on an edge of {case}")

    return st.builds(make, st.integers(0, _LAST_SEED))


def seeds() -> Strategy:
    """Seeds of draws, with room for those that follow."""
    return st.integers(0, _LAST_SEED // 2)


def _decided(case: Case, logits_BV: Array, history_BS: Ints, policy: SamplingPolicy) -> bool:
    call = call_of(case, logits_BV, history_BS, policy)
    return sampling.distributions(call, policy).decided


def call_of(case: Case, logits_BV: Array, history_BS: Ints, policy: SamplingPolicy) -> SamplingCall:
    """Return the call that a case makes of logits and histories, of the steps that there are."""
    asked = [_EACH[b % len(_EACH)] if case.get("each") else case for b in range(len(logits_BV))]
    return SamplingCall(
        logits_BV=logits_BV,
        prompts=tuple(tuple(map(int, row)) for row in history_BS[:, :_HALF]),
        generated=tuple(tuple(map(int, row)) for row in history_BS[:, _HALF:]),
        parameters=tuple(_parameters(one, policy) for one in asked),
    )


def row_of(call: SamplingCall, row: int) -> SamplingCall:
    """Return a call of one of its rows."""
    only = slice(row, row + 1)
    return SamplingCall(
        call.logits_BV[only], call.prompts[only], call.generated[only], call.parameters[only]
    )


def _parameters(asked: Mapping[str, Any], policy: SamplingPolicy) -> SamplingParameters:
    names = {field.name for field in dataclasses.fields(SamplingParameters)}
    fields = {n: v for n, v in asked.items() if n in names and _STEPS[n] in policy.order}
    if "bias" in asked and "logit_bias" in policy.order:
        ids, amounts = asked["bias"][::2], asked["bias"][1::2]
        fields["logit_bias"] = tuple(zip(map(int, ids), map(float, amounts), strict=True))
    return SamplingParameters(**fields)
