"""Requests for text and their answers as frames: tokens are arrays, the rest is JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import MalformedOutput
from conformance.records import Continuation, GenerationRequest
from conformance.worker.wire import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


def told(request: GenerationRequest) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a request as fields of a header and as arrays."""
    fields = {
        "max_new_tokens": request.max_new_tokens,
        "eos_ids": list(request.eos_ids),
        "stop_sequences": [list(stop) for stop in request.stop_sequences],
        "logprobs": request.logprobs,
    }
    prompts = enumerate(request.prompts)
    return fields, {f"prompt.{row}": np.array(tokens, np.int64) for row, tokens in prompts}


def request_of(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> GenerationRequest:
    """Return the request that the parent told."""
    return GenerationRequest(
        prompts=tuple(tuple(array.tolist()) for array in arrays.values()),
        max_new_tokens=header["max_new_tokens"],
        eos_ids=tuple(header["eos_ids"]),
        stop_sequences=tuple(map(tuple, header["stop_sequences"])),
        logprobs=header["logprobs"],
    )


def answer(found: Any) -> Message:
    """Return continuations as a frame's content.

    Raises:
        MalformedOutput: they are something else.
    """
    if not isinstance(found, list | tuple) or not all(isinstance(x, Continuation) for x in found):
        raise MalformedOutput(f"generate answered {type(found).__name__}, no list of Continuation")
    arrays = {}
    for row, one in enumerate(found):
        arrays[f"tokens.{row}"] = _numbers(one.tokens, "iu", np.int64, row)
        if one.logprobs is not None:
            arrays[f"logprobs.{row}"] = _numbers(one.logprobs, "iuf", np.float64, row)
    ends = [str.__str__(one.finish) if isinstance(one.finish, str) else "" for one in found]
    return Message({"finish": ends}, arrays)


def _numbers(values: Sequence[Any], kinds: str, dtype: Any, row: int) -> Array:
    if not isinstance(values, list | tuple):
        raise MalformedOutput(f"generate: row {row} holds a {type(values).__name__}, no tuple")
    array = np.array(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in kinds):
        raise MalformedOutput(f"generate: row {row} holds {array.dtype}{list(array.shape)}")
    return array.astype(dtype)


def continuations_of(message: Message) -> list[Continuation]:
    """Return the continuations that a child answered; who asked looks at their form.

    Raises:
        MalformedOutput: the frame holds something else.
    """
    arrays = message.arrays
    match message.header:
        case {"finish": list(ends)} if all(isinstance(end, str) for end in ends):
            rows = [_row(row, end, arrays) for row, end in enumerate(ends)]
            if sum(1 + (one.logprobs is not None) for one in rows) == len(arrays):
                return rows
    raise MalformedOutput(f"the candidate's process answered {sorted(arrays)}, no continuations")


def _row(row: int, finish: str, arrays: Mapping[str, Array]) -> Continuation:
    tokens, logprobs = arrays.get(f"tokens.{row}"), arrays.get(f"logprobs.{row}")
    if tokens is None or tokens.dtype != np.int64 or tokens.ndim != 1:
        raise MalformedOutput(f"the candidate's process answered no tokens of row {row}")
    if logprobs is not None and (logprobs.dtype != np.float64 or logprobs.ndim != 1):
        raise MalformedOutput(f"the candidate's process answered no log-probabilities of row {row}")
    given = None if logprobs is None else tuple(logprobs.tolist())
    return Continuation(tuple(tokens.tolist()), finish, given)
