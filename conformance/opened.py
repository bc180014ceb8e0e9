"""A candidate as a run opens it: isolated where asked, and at fault for whatever it does wrong.

A vendor's code may raise on opening, describe itself in a form that nothing can be planned by, or
break on closing. None of that may end the run.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from conformance import candidate as candidates
from conformance import worker
from conformance.errors import (
    CandidateFault,
    CandidateRaised,
    CandidateUnavailable,
    MalformedOutput,
    UsageError,
)
from conformance.raised import clean, error_text
from conformance.records import CandidateInfo, Claims, SamplingPolicy, TokenizerFacts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from conformance.candidate import Candidate
    from conformance.records import Profile
    from conformance.selection import Selection

_GIB = 1 << 30
_LINE_CHARACTERS = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


@contextmanager
def opened(text: str, selection: Selection, profile: Profile) -> Iterator[Candidate]:
    """Open a candidate, isolated where asked; one that breaks on opening fails its cases."""
    opening = candidates.open_candidate(text)
    if selection.isolate:
        memory = selection.memory_limit
        limits = worker.Limits(
            call_s=selection.call_limit,
            memory_bytes=None if memory is None else int(memory * _GIB),
        )
        opening = worker.isolated(text, limits, open_package="conformance.models:open_package")
    try:
        candidate = opening.__enter__()
    except (CandidateUnavailable, UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  # whatever vendor code raises on opening
        yield Unopened(text, profile, error)
        return
    fault = _misdescribed(candidate)
    try:
        yield candidate if fault is None else Unopened(text, profile, fault)
    finally:
        _close(opening)


def _misdescribed(candidate: Candidate) -> CandidateFault | None:
    """Return what is wrong with the candidate's ``info``, without which nothing can be planned."""
    try:
        info: Any = candidate.info
        capabilities = info.claims.capabilities if isinstance(info, CandidateInfo) else None
    except BaseException as error:  # noqa: BLE001  # whatever vendor code raises
        return CandidateRaised(f"reading the candidate's info raised {error_text(error)}")
    if not isinstance(info, CandidateInfo):
        return MalformedOutput(
            f"the candidate's info is a {type(info).__name__}; wanted a "
            "conformance.records.CandidateInfo"
        )
    if not isinstance(capabilities, set | frozenset) or not all(
        isinstance(word, str) for word in capabilities
    ):
        return MalformedOutput(
            f"the candidate claims {capabilities!r}; wanted a frozenset of capabilities, such as "
            "frozenset({'logits', 'operators'})"
        )
    if not isinstance(info.claims.precision, str) or not isinstance(info.digests, Mapping):
        return MalformedOutput(
            f"the candidate claims precision {info.claims.precision!r} and has digests "
            f"{info.digests!r}; wanted a name, such as 'fp32', and a mapping from file names"
        )
    if not isinstance(info.claims.contract, Mapping):
        return MalformedOutput(
            f"the candidate claims the contract {info.claims.contract!r}; wanted a mapping from "
            "terms, such as {'score': 'bfloat16'}"
        )
    return _misdeclared(info.claims.sampling) or _misdescribed_text(info.claims.tokenizer)


def _misdeclared(policy: Any) -> CandidateFault | None:
    """Return what is wrong with the form of a sampling policy; the plan knows its words."""
    if policy is None:
        return None
    if isinstance(policy, SamplingPolicy) and isinstance(policy.order, tuple):
        words = *policy.order, policy.top_k_ties, policy.repetition_sees, policy.presence_sees
        if all(isinstance(word, str) for word in words) and type(policy.last_tokens) is int:
            return None
    return MalformedOutput(
        f"the candidate claims sampling {policy!r}; wanted a conformance.records.SamplingPolicy "
        "of words and a number, or None"
    )


def _misdescribed_text(facts: Any) -> CandidateFault | None:
    """Return what is wrong with the form of a tokenizer's facts; the plan knows its words."""
    if facts is None:
        return None
    if isinstance(facts, TokenizerFacts) and isinstance(facts.special, Mapping):
        words = facts.normalisation, facts.prefix_space, facts.offsets, facts.file, *facts.special
        ends = (one for one in (facts.bos, facts.eos) if one is not None)
        ids = facts.size, *facts.special.values(), *ends
        if all(isinstance(word, str) for word in words) and all(type(one) is int for one in ids):
            return None
    return MalformedOutput(
        f"the candidate claims the tokenizer {facts!r}; wanted a "
        "conformance.records.TokenizerFacts of words and numbers, or None"
    )


def _close(opening: AbstractContextManager[Candidate]) -> None:
    """Close the candidate; all is judged by then, so that a failure here is only told."""
    try:
        opening.__exit__(None, None, None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever vendor code raises on closing
        text = f"note: closing the candidate raised {error_text(error)}"
        print(text, file=sys.stderr)  # noqa: T201  # no verdict depends on it


def presentable(info: CandidateInfo) -> CandidateInfo:
    """Return a description that a report and a terminal can take, whatever the vendor wrote.

    The vendor's own words are what REPORT-001 judges.
    """

    def line(value: Any) -> str:
        text = clean(str(value), _LINE_CHARACTERS) if isinstance(value, str) else ""
        return " ".join(text.split()) or "not told"

    return dataclasses.replace(
        info,
        name=line(info.name),
        version=line(info.version),
        runtime=line(info.runtime),
        device=line(info.device),
        digests={line(k): v for k, v in info.digests.items() if _SHA256.fullmatch(str(v))},
    )


class Unopened:
    """Stands for a candidate that broke on opening: it fails whatever the profile demands."""

    def __init__(self, text: str, profile: Profile, error: BaseException) -> None:
        self.fault = (
            error
            if isinstance(error, CandidateFault)
            else CandidateRaised(f"opening the candidate raised {error_text(error)}")
        )
        self.info = CandidateInfo(
            name=candidates.parse(text).adapter,
            version="unknown",
            runtime="unknown: it could not be opened",
            device="unknown",
            claims=Claims(frozenset(profile.demands)),
        )

    def _refuse(self, *_: Any) -> NoReturn:
        raise self.fault

    load = operator = process = sample = encode = decode = token_bytes = stream = _refuse
