"""The other end: the process in which an isolated candidate runs and answers frames.

Started by ``process``; nothing else imports it. It trusts the parent and serves one request at a
time until the parent closes its pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.candidate import method_of, open_candidate
from conformance.errors import ConformanceError, MalformedOutput
from conformance.raised import error_text
from conformance.records import OperatorCall
from conformance.worker import generation, sampling, tokenizer, wire
from conformance.worker.supervisor import TRAVELLING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_MESSAGE_CHARACTERS = 4000
_TAKES = {"start": ("batch",), "start_target": (), "copy": (), "showing": ("names",)}
"""Methods that make an object which the parent holds a handle of: what each takes but arrays."""


def main() -> None:
    """Serve the parent whose pipes are named by the last two arguments."""
    request, answer = (int(text) for text in sys.argv[-2:])
    for end in (request, answer):
        os.set_inheritable(end, False)  # noqa: FBT003  # programs that the candidate starts
    pipe = _Pipe(request, answer)
    with contextlib.ExitStack() as stack:
        service = _Service(stack)
        while (message := pipe.receive()) is not None:
            pipe.send(_answer(service.answer, message))


class _Pipe:
    """Whole frames from and to the parent, blocking."""

    def __init__(self, request: int, answer: int) -> None:
        self._in, self._out = os.fdopen(request, "rb"), os.fdopen(answer, "wb")

    def receive(self) -> wire.Message | None:
        """Return the next request, ``None`` when the parent is done."""
        prefix = self._in.read(wire.LENGTH.size)
        if len(prefix) < wire.LENGTH.size:
            return None
        header, slots = wire.decode_header(self._in.read(wire.header_length(prefix)))
        arrays = {}
        for slot in slots:
            raw = np.empty(slot.nbytes, np.uint8)
            self._in.readinto(raw.data)
            arrays[slot.name] = slot.array(raw)
        return wire.Message(header, arrays)

    def send(self, frame: list[bytes | memoryview]) -> None:
        """Write a frame's pieces."""
        for piece in frame:
            self._out.write(piece)
        self._out.flush()


def _answer(
    work: Callable[[wire.Message], wire.Message], question: wire.Message
) -> list[bytes | memoryview]:
    """Return the frame of what ``work`` returns, or of the error that it raised."""
    try:
        result = work(question)
        return wire.encode(wire.Message({**result.header, "ok": True}, result.arrays))
    except wire.Unsendable as error:
        return _failure("MalformedOutput", str(error))
    except ConformanceError as error:
        name = type(error).__name__
        return _failure(name, str(error)) if name in TRAVELLING else _raised(question, error)
    except BaseException as error:  # noqa: BLE001  # sys.exit in a candidate is a fault like others
        return _raised(question, error)


def _raised(question: wire.Message, error: BaseException) -> list[bytes | memoryview]:
    message = f"{_asked(question.header)} raised {error_text(error)}"
    return _failure("CandidateRaised", message)


def _asked(header: Mapping[str, Any]) -> str:
    """Return a question in the words that are used where the candidate runs in the suite."""
    match header:
        case {"verb": "open"}:
            return "opening the candidate"
        case {"verb": "load", "name": name}:
            return f"load({name})"
        case {"verb": "operator", "call": call}:
            return str(call["operator"])
    return str(header["verb"])


def _failure(error: str, message: str) -> list[bytes | memoryview]:
    header = {"ok": False, "error": error, "message": message[:_MESSAGE_CHARACTERS]}
    return wire.encode(wire.Message(header))


def _die_with(parent: int) -> None:
    """Be killed when the parent ends; between calls, the closed pipe says the same."""
    if sys.platform == "linux":
        # Linux sends it when the parent's *thread* that started this process ends.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _limit_memory(limit: int | None) -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if limit is not None and (hard == resource.RLIM_INFINITY or limit < hard):
        # The hard limit too: a candidate may not lift it.
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


class _Service:
    """The candidate, and the objects of it that the parent holds handles of."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._objects: dict[int, Any] = {}
        self._next = 0

    def _open(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """Open the candidate; return its info as JSON values."""
        _die_with(header["parent"])
        _limit_memory(header["memory_bytes"])
        self._open_package = header["open_package"]
        self._candidate = self._stack.enter_context(open_candidate(header["candidate"]))
        info = self._candidate.info
        operators, policy = info.claims.operators, info.claims.sampling
        facts = info.claims.tokenizer
        return {
            "name": info.name,
            "version": info.version,
            "runtime": info.runtime,
            "device": info.device,
            "capabilities": sorted(info.claims.capabilities),
            "precision": info.claims.precision,
            "contract": dict(info.claims.contract),
            "operators": None if operators is None else sorted(operators),
            "sampling": None if policy is None else policy.document(),
            "tokenizer": None if facts is None else facts.document(),
            "digests": dict(info.digests),
        }

    def answer(self, message: wire.Message) -> wire.Message:
        """Answer one request of the parent's."""
        header = message.header
        for handle in header.get("drop", ()):
            self._objects.pop(handle, None)
        subject: Any = self._objects.get(header.get("handle", 0))
        match header["verb"]:
            case "open":
                return wire.Message({"info": self._open(header)})
            case "load":
                # Imported now: who tests operators alone needs nothing of what builds models.
                module, _, function = self._open_package.partition(":")
                open_package = getattr(importlib.import_module(module), function)
                package = open_package(header["path"], header["name"])
                model = self._candidate.load(package)
                graph = getattr(model, "graph_file", None)
                told = {"graph": None if graph is None else str(graph)}
                return self._kept(model, built=sorted(package.built), **told)
            case "start" | "start_target" | "copy" | "showing" as verb:
                given = [header[name] for name in _TAKES[verb]]
                return self._kept(method_of(subject, verb)(*given, *message.arrays.values()))
            case "generate" | "stream" | "encode" | "decode" | "token_bytes" | "add" | "finish":
                return self._of_text(subject, message)
            case "crop":
                method_of(subject, "crop")(header["length"])
            case "reorder" | "reorder_target" as verb:
                method_of(subject, verb)(header["rows"])
            case _:
                return wire.Message({}, self._computed(subject, header, message.arrays))
        return wire.Message({})

    def _of_text(self, subject: Any, message: wire.Message) -> wire.Message:
        """Return continuations, ids or text, or a stream of text."""
        header = message.header
        match header["verb"]:
            case "generate":
                request = generation.request_of(header, message.arrays)
                return generation.answer(method_of(subject, "generate")(request))
            case "stream":
                make = method_of(self._candidate, "stream")
                return self._kept(make(skip_special=header["skip_special"]))
            case verb:
                owner = subject if verb in tokenizer.OF_A_STREAM else self._candidate
                return tokenizer.answer(method_of(owner, verb), message)

    def _computed(
        self, subject: Any, header: Mapping[str, Any], arrays: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the arrays that the candidate computes from arrays."""
        match header["verb"]:
            case "operator":
                fields = {**header["call"], "outputs": tuple(header["call"]["outputs"])}
                call = OperatorCall(inputs=arrays, **fields)
                return _by_name("operator", method_of(self._candidate, "operator")(call))
            case "process" | "sample" as verb:
                wanted = sampling.call_in(header["call"], arrays), *header["wanted"]
                return {verb: method_of(self._candidate, verb)(*wanted)}
            case "hidden_states" | "feed" | "encode_tokens" | "decode_tokens" as verb:
                return _by_name(verb, method_of(subject, verb)(*arrays.values()))
            case "shown":
                wanted = header["wanted"]
                return dict(zip(wanted, subject(wanted, *arrays.values()), strict=True))
            case verb:
                return {"logits": method_of(subject, verb)(*arrays.values())}

    def _kept(self, thing: Any, **told: Any) -> wire.Message:
        self._next += 1
        self._objects[self._next] = thing
        return wire.Message({"handle": self._next, **told})


def _by_name(method: str, answer: Any) -> dict[str, Any]:
    if isinstance(answer, dict) and all(isinstance(name, str) for name in answer):
        return answer
    raise MalformedOutput(
        f"{method} answered {type(answer).__name__}, not a dict of arrays by name"
    )
