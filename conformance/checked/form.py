"""Calls into a candidate and the form of its answers: what is the same for all that it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from conformance import evidence, precision, spec
from conformance.errors import (
    BuildError,
    CandidateCrashed,
    CandidateFault,
    CandidateRaised,
    CandidateTimeout,
    CandidateUnavailable,
    MalformedOutput,
    NotInBuild,
    RestartsSpent,
    Unsupported,
)
from conformance.raised import error_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

_T = TypeVar("_T")

MAY_LACK = "hidden_states"
"""What a model's file may not show though its runtime claims it: no profile demands it."""


def guarded(what: str, call: Callable[[], _T]) -> _T:
    """Call into the candidate; whatever it raises is its fault.

    Even ``SystemExit`` and pytest's own skip are: a candidate may not end the run, nor excuse
    itself from a case. Only the user's Ctrl-C passes.
    """
    try:
        with evidence.time_of("candidate"):
            return call()
    except (CandidateCrashed, CandidateTimeout) as error:
        raise type(error)(f"{what}: {error}") from error
    except (BuildError, CandidateFault, CandidateUnavailable, KeyboardInterrupt):
        raise
    except (RestartsSpent, Unsupported):
        raise
    except BaseException as error:  # see above
        if isinstance(error, NotInBuild) and what.endswith(MAY_LACK):
            raise
        raise CandidateRaised(f"{what} raised {error_text(error)}") from error


def copied(array: Array) -> Array:
    """Return a copy with the same strides, so that a candidate meets what the check made."""
    if array.flags.c_contiguous or min(array.strides) < 0:
        return array.copy()
    reach = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    memory = np.zeros(sum(reach) + array.itemsize, np.uint8)
    copy: Array = np.ndarray(array.shape, array.dtype, memory.data, strides=array.strides)
    copy[...] = array
    return copy


def formed(name: str, answer: Any, shape: tuple[int, ...], type_name: str, axes: str = "") -> Array:
    """Return a copy of an answer, once its type and shape are right.

    Raises:
        MalformedOutput: it is no array, or of another type or shape.
    """
    if not isinstance(answer, np.ndarray):
        raise MalformedOutput(f"{name} is a {type(answer).__name__}; wanted a NumPy array")
    if answer.dtype != precision.dtype(type_name):
        raise MalformedOutput(
            f"{name} has type {answer.dtype}; the claimed type is {type_name}: "
            f"{_way_out(str(answer.dtype))}"
        )
    if answer.shape != shape:
        raise MalformedOutput(f"{name} has shape {list(answer.shape)}; wanted {list(shape)}{axes}")
    # A copy of the plain kind: runtimes use one buffer for all their answers, and a subclass
    # could compare as it likes.
    return np.array(answer, subok=False)


def _way_out(answered: str) -> str:
    claims = [c.name for c in spec.load().contracts.values() if c.output == answered]
    return f"claim {claims[0]}, or convert" if claims else "convert it"
