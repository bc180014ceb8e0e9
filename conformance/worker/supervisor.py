"""Keeps a candidate's process alive: start, time limits, restart, and what its answers mean.

It asks and answers in records of the suite; which process serves them is its own affair, but for
the number of the *life*: what was loaded in one life is gone in the next.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance import errors
from conformance.errors import MalformedOutput, RestartsSpent
from conformance.raised import clean
from conformance.records import CandidateInfo, Claims
from conformance.worker import wire
from conformance.worker.process import Process
from conformance.worker.sampling import policy_in
from conformance.worker.tokenizer import facts_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

_CLOSE_S = 5.0
_PREPARING = ("open", "load")
"""The questions whose answers say nothing yet of whether the candidate computes."""
_MESSAGE_CHARACTERS = 4000
TRAVELLING = {
    kind.__name__: kind
    for kind in (
        errors.BuildError,
        errors.CandidateRaised,
        errors.CandidateUnavailable,
        errors.MalformedOutput,
        errors.NotInBuild,
        errors.PackageError,
        errors.Refused,
        errors.Unsupported,
        errors.UsageError,
    )
}
"""The errors that keep their kind on the way from the child."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate's process may use.

    ``memory_bytes`` is RLIMIT_DATA of the child: heap, stacks of threads and other private
    writable memory of that one process. It does not cover mapped files, shared memory, memory on
    a device, or processes that the candidate starts (each has the limit for itself). Linux
    enforces it; other systems partly.
    """

    call_s: float = 120.0
    """Seconds for one call, such as one ``logits``."""
    load_s: float = 600.0
    """Seconds to open the candidate, and to load one model; its build by the suite included."""
    memory_bytes: int | None = None
    restarts: int = 10
    """How often in a row a process is replaced that died before it had answered anything.

    One that answers is worth starting again, however often it dies: each death fails one case, and
    the others have a right to be evaluated.
    """


@dataclass(slots=True, repr=False)
class Supervisor:
    """The one place that knows whether the child lives.

    Attributes:
        life: how many processes there have been; a handle is good within one life.
    """

    text: str
    limits: Limits
    open_package: str
    info: CandidateInfo = field(init=False)
    life: int = 0
    _silent_lives: int = 0
    """How many of the latest lives answered no more than that they opened and loaded."""
    _process: Process | None = None
    _last_death: str = ""
    _dropped: list[tuple[int, int]] = field(default_factory=list)

    def lives(self, life: int) -> bool:
        """Whether that life has not been seen to end."""
        return self._process is not None and self.life == life

    def current_life(self) -> int:
        """Return the number of the living process, started anew where it died.

        Raises:
            RestartsSpent: it died too often.
            CandidateFault, CandidateUnavailable, UsageError: it could not be opened.
        """
        if self._process is None:
            self._start()
        return self.life

    def _start(self) -> None:
        if self._silent_lives > self.limits.restarts:
            raise RestartsSpent(
                f"the candidate's process ended {self._silent_lives} times in a row before it had "
                f"answered anything, which is more than the {self.limits.restarts} restarts "
                f"allowed; the last time: {self._last_death}"
            )
        self.life += 1
        self._silent_lives += 1
        self._process = Process()
        header = {
            "verb": "open",
            "candidate": self.text,
            "open_package": self.open_package,
            "memory_bytes": self.limits.memory_bytes,
            "parent": os.getpid(),
        }
        try:
            self.info = _info(self._exchange(wire.Message(header), self.limits.load_s).header)
        except BaseException:
            self._end(0)  # it serves only what it could open
            raise

    def ask(
        self, verb: str, arrays: Mapping[str, NDArray[Any]], seconds: float, **fields: Any
    ) -> wire.Message:
        """Put one question to the living process.

        Raises:
            CandidateFault: it crashed, hung, raised, or answered no frame.
            Unsupported: the candidate says that it has no kernel for the case.
        """
        dropped, self._dropped = self._dropped, []
        handles = [handle for life, handle in dropped if life == self.life]
        header = {"verb": verb, "drop": handles, **fields}
        return self._exchange(wire.Message(header, arrays), seconds)

    def _exchange(self, message: wire.Message, seconds: float) -> wire.Message:
        process = self._process
        assert process is not None
        try:
            answer = process.ask(message, seconds)
            error = _told_error(answer.header)
        except errors.CandidateFault as fault:
            self._end(0)
            self._last_death = str(fault)
            raise
        if message.header["verb"] not in _PREPARING:
            self._silent_lives = 0
        if error is not None:
            raise error
        return answer

    def drop(self, life: int, handle: int) -> None:
        """Let the child forget an object; told with the next question."""
        self._dropped.append((life, handle))

    def close(self) -> None:
        """End the child, in peace where it lets itself be."""
        self._end(_CLOSE_S)

    def _end(self, seconds: float) -> None:
        if self._process is not None:
            self._process.close(seconds)
            self._process = None


def _told_error(header: Mapping[str, Any]) -> Exception | None:
    """Return the error that an answer tells of, ``None`` for a good answer.

    Raises:
        MalformedOutput: the answer is neither.
    """
    match header:
        case {"ok": True}:
            return None
        case {"ok": False, "error": str(name), "message": str(message)} if name in TRAVELLING:
            return TRAVELLING[name](clean(message, _MESSAGE_CHARACTERS))
    raise MalformedOutput(
        f"the candidate's process answered neither a result nor an error: {_short(header)}"
    )


def handle_in(answer: wire.Message) -> int:
    """Return the handle of an object in the child that an answer names.

    Raises:
        MalformedOutput: it names none.
    """
    match answer.header:
        case {"handle": int(handle)}:
            return handle
    raise MalformedOutput(f"the candidate's process named no object: {_short(answer.header)}")


def built_in(answer: wire.Message) -> list[str]:
    """Return the names of the files that were made for the candidate when it loaded a package.

    Raises:
        MalformedOutput: they are not told.
    """
    match answer.header:
        case {"built": list(names)} if all(isinstance(name, str) for name in names):
            return names
    raise MalformedOutput(
        f"the candidate's process did not say what was built for it: {_short(answer.header)}"
    )


def _are_words(*found: Iterable[Any]) -> bool:
    return all(isinstance(word, str) for words in found for word in words)


def _info(header: Mapping[str, Any]) -> CandidateInfo:
    match header:
        case {
            "info": {
                "name": str(name),
                "version": str(version),
                "runtime": str(runtime),
                "device": str(device),
                "capabilities": list(capabilities),
                "precision": str(precision),
                "contract": dict(contract),
                "operators": list() | None as operators,
                "sampling": dict() | None as policy,
                "tokenizer": dict() | None as facts,
                "digests": dict(digests),
            }
        } if _are_words(capabilities, operators or (), contract, digests.values()):
            claimed = None if operators is None else frozenset(operators)
            return CandidateInfo(
                name=clean(name, 500),
                version=clean(version, 500),
                runtime=clean(runtime, 500),
                device=clean(device, 500),
                claims=Claims(
                    frozenset(capabilities),
                    precision,
                    contract,
                    claimed,
                    policy_in(policy),
                    facts_in(facts),
                ),
                digests=digests,
            )
    raise MalformedOutput(f"the candidate's info is malformed: {_short(header)}")


def _short(value: object) -> str:
    return clean(repr(value), 300)
