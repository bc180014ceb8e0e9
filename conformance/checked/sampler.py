"""A candidate's sampling as a check sees it: guarded, its answers checked for form, its oracle.

Shape letters: B rows, N draws, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence, precision
from conformance.candidate import method_of
from conformance.checked.form import formed, guarded
from conformance.oracles import sampling
from conformance.records import SamplingPolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.oracles.sampling import Distributions
    from conformance.records import SamplingCall

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_ROUNDINGS = 4
"""Roundings that a share may have had beyond the oracle's bound, which is for another share."""


class CheckedSampler:
    """A candidate's distributions and draws, and the oracle's distributions."""

    def __init__(self, candidate: Candidate, policy: SamplingPolicy | None) -> None:
        self._candidate = candidate
        self.policy = policy or SamplingPolicy()
        """What the candidate declares; the standard's own where it declares nothing."""

    def process(self, call: SamplingCall) -> Array:
        """Ask the candidate for the distributions (B, V) of a call."""
        own, shape = _copied(call), call.logits_BV.shape
        answer = guarded("process", lambda: method_of(self._candidate, "process")(own))
        p_BV = formed("probabilities", answer, shape, sampling.DTYPE, " (rows, vocabulary)")
        bound_BV, unit = self.expected(call).bound_BV, precision.unit_roundoff(sampling.DTYPE)
        evidence.answered(p_BV, lambda value: bound_BV + _ROUNDINGS * unit * np.abs(value))
        return p_BV

    def expected(self, call: SamplingCall) -> Distributions:
        """Return the exact distributions of a call, by the declared policy."""
        with evidence.time_of("oracle"):
            return sampling.distributions(call, self.policy)

    def draw(self, call: SamplingCall, seed: int, draws: int) -> Ints:
        """Ask the candidate for tokens (B, N)."""
        own, shape = _copied(call), (len(call.parameters), draws)
        what = method_of(self._candidate, "sample")
        answer = guarded("sample", lambda: what(own, seed, draws))
        return formed("tokens", answer, shape, "int64", " (rows, draws)")

    def stream(self, call: SamplingCall, seed: int, step: int = 1) -> Stream:
        """Return a source of fresh draws of a call, from seeds that are ``step`` apart."""
        return Stream(self, call, seed, step)

    def firsts(self, call: SamplingCall, seed: int) -> FirstDraws:
        """Return a source of the first draws of seeds that follow each other."""
        return FirstDraws(self, call, seed)


@dataclass
class Stream:
    """Draws of one call, from another seed each time that some are asked for."""

    sampler: CheckedSampler
    call: SamplingCall
    seed: int
    """The next seed."""
    step: int

    def __call__(self, draws: int) -> Ints:
        """Return tokens (B, N)."""
        self.seed += self.step
        return self.sampler.draw(self.call, self.seed - self.step, draws)


@dataclass
class FirstDraws:
    """Draws of one call, each the first of its own seed."""

    sampler: CheckedSampler
    call: SamplingCall
    seed: int
    """The next seed."""

    def __call__(self, draws: int) -> Ints:
        """Return tokens (B, N)."""
        self.seed += draws
        seeds = range(self.seed - draws, self.seed)
        return np.concatenate([self.sampler.draw(self.call, s, 1) for s in seeds], axis=1)


def _copied(call: SamplingCall) -> SamplingCall:
    return dataclasses.replace(call, logits_BV=call.logits_BV.copy())
