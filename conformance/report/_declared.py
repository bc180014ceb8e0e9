"""What a candidate declares of how it chooses tokens and makes them of text, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.report._facts import spoken

if TYPE_CHECKING:
    from conformance.records import CandidateInfo


def sampling(candidate: CandidateInfo) -> str:
    """Return how a candidate chooses tokens, as it declares it; empty where it says nothing."""
    policy = candidate.claims.sampling
    if policy is None:
        return ""
    return (
        f"{', '.join(map(spoken, policy.order))}; ties at top-k: {spoken(policy.top_k_ties)}; "
        f"repetition sees {policy.repetition_sees} tokens, presence and frequency "
        f"{policy.presence_sees} ones"
        + (f", of the last {policy.last_tokens}" if policy.last_tokens else "")
    )


def tokenizer(candidate: CandidateInfo) -> str:
    """Return what a candidate declares of its tokenizer; empty where it says nothing."""
    facts = candidate.claims.tokenizer
    if facts is None:
        return ""
    return (
        f"{facts.size} ids, {len(facts.special)} of them special; normalisation "
        f"{facts.normalisation}; prefix space {facts.prefix_space}; offsets in {facts.offsets}"
        + (" without the spaces around a token" if facts.trims_offsets else "")
    )
