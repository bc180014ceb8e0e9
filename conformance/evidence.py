"""The sink that measurements and inputs go to while a case runs; the worst is kept, NaN wins.

Judges write to whatever sink is open in the current context, so that a check needs no argument
for it and judges stay plain functions.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conformance.records import Array, Measurement


@dataclass(frozen=True, slots=True)
class Answer:
    """One array that a candidate answered."""

    array: Array
    scale: Callable[[Array], Array]
    """Returns how large an honest error may be, for what the answer should be."""


@dataclass
class Sink:
    """What was seen while one case ran."""

    worst: dict[tuple[str, str], Measurement] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """The inputs that were drawn last: hypothesis ends with the smallest failing ones."""
    failed: set[bytes] = field(default_factory=set)
    """Digests of the drawn inputs that failed, for the end of shrinking."""
    deadly: dict[bytes, BaseException] = field(default_factory=dict)
    """What was raised for those drawn inputs that ended the candidate's process."""
    failing_since: float = 0.0
    """When the first of them failed, in seconds of the monotonic clock."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What the time went to, as far as it was told: ``candidate`` and ``oracle``."""
    answers: list[Answer] | None = None
    """What the candidate answered, in order, where it is kept at all."""
    notes: list[str] = field(default_factory=list)
    """What a check could not tell, in words."""

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The worst measurement of each metric, in the order of their first appearance."""
        return tuple(self.worst.values())


_sink: ContextVar[Sink | None] = ContextVar("llm_conformance_sink", default=None)


@contextmanager
def collect(*, answers: bool = False) -> Iterator[Sink]:
    """Open a sink for what is measured inside the ``with`` block.

    Args:
        answers: whether to keep everything that the candidate answers.
    """
    sink = Sink(answers=[] if answers else None)
    token = _sink.set(sink)
    try:
        yield sink
    finally:
        _sink.reset(token)


def record(measurement: Measurement) -> None:
    """Keep a measurement: the worst of its metric, with the number of comparisons summed."""
    sink = _sink.get()
    if sink is None:
        return
    key = (measurement.metric, measurement.unit)
    before = sink.worst.get(key)
    sink.worst[key] = measurement if before is None else worse(before, measurement)


def answered(array: Array, scale: Callable[[Array], Array]) -> None:
    """Keep an answer of the candidate's, if anybody wants it."""
    sink = _sink.get()
    if sink is not None and sink.answers is not None:
        sink.answers.append(Answer(array, scale))


def note(text: str) -> None:
    """Keep what a check could not tell, for the report; it changes no verdict."""
    sink = _sink.get()
    if sink is not None and text not in sink.notes:
        sink.notes.append(text)


def worse(a: Measurement, b: Measurement) -> Measurement:
    """Return the measurement with less headroom, and the comparisons of both; NaN is worst."""
    count = a.count + b.count
    if math.isnan(a.observed):
        return replace(a, count=count)
    if math.isnan(b.observed):
        return replace(b, count=count)
    # Headroom is a float near 1 where little was seen: equal ones are told apart by what was.
    later = (b.headroom, -b.observed) < (a.headroom, -a.observed)
    return replace(b if later else a, count=count)


def current() -> Sink:
    """Return the open sink, or one that nobody reads."""
    return _sink.get() or Sink()


@contextmanager
def time_of(whom: str) -> Iterator[None]:
    """Count the time inside the ``with`` block as the candidate's or the oracle's own.

    Args:
        whom: ``candidate`` or ``oracle``; one is never called inside the other.
    """
    start = time.perf_counter()
    try:
        yield
    finally:
        sink = _sink.get()
        if sink is not None:
            sink.seconds[whom] = sink.seconds.get(whom, 0.0) + time.perf_counter() - start
