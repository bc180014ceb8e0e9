"""A runtime that draws tokens and shows no shares: temperature and top-k, by Gumbel noise."""

from contextlib import contextmanager

import numpy as np

from conformance.records import CandidateInfo, Claims, SamplingPolicy

POLICY = SamplingPolicy(order=("temperature", "top_k"))


class Candidate:
    info = CandidateInfo(
        "mine", "1.0", "NumPy", "CPU", Claims(frozenset({"sampling"}), sampling=POLICY)
    )

    def __init__(self, target):
        self.target = target

    def sample(self, call, seed, draws):
        numbers = np.random.default_rng(seed)
        rows = zip(call.logits_BV.astype(np.float64), call.parameters, strict=True)
        return np.stack([self.row(*row, numbers, draws) for row in rows])

    def row(self, logits_V, asked, numbers, draws):
        k = asked.top_k + (self.target == "one-more") if asked.top_k else len(logits_V)
        kept = np.argsort(-logits_V, kind="stable")[: k if asked.temperature else 1]
        noise_NV = numbers.gumbel(size=(draws, len(kept)))
        return kept[(logits_V[kept] / (asked.temperature or 1) + noise_NV).argmax(-1)]


@contextmanager
def open(target, options):  # noqa: A001, ARG001  # the seam
    yield Candidate(target)
