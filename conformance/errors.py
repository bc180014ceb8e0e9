"""Every error of the suite, told by the stage of a run at which it happens.

::

    ConformanceError
    |- SpecError               load the standard     our own data is broken              exit 3
    |- UsageError              read the command      unknown name, option or file         exit 4
    |- FormatError             read a document       bytes, JSON, schema or meaning       exit 4
    |- PackageError            open a model folder   missing, unsafe or not understood    exit 4
    |- BuildError              load a model          the suite could not make its file
    |- CandidateUnavailable    open the candidate    not installed, no such device        exit 4
    |- Unsupported             ask the candidate     it has no kernel for this case
    |- NotInBuild              ask the candidate     its model's file lacks it: not applicable
    |- RestartsSpent           ask the candidate     its process died too often: NOT_RUN
    |- CandidateFault          ask the candidate     the case fails, the run goes on
    |  |- CandidateRaised      ... it raised an exception
    |  |- CandidateCrashed     ... its process died
    |  |- CandidateTimeout     ... it did not answer in time
    |  |- Refused              ... it says that the request cannot be answered as it stands
    |  `- MalformedOutput      ... it answered with the wrong shape, type or NaN
    `- Nonconformity           judge                 the answer is wrong (an AssertionError too)

A message says what was seen, where, what was allowed and what to do.
"""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.records import Measurement


class ConformanceError(Exception):
    """Any error that the suite raises on purpose."""


class SpecError(ConformanceError):
    """The standard's own data contradicts itself: a fault of the suite."""


class UsageError(ConformanceError):
    """The command asks for something that does not exist or does not fit together."""


class FormatError(ConformanceError):
    """A document is not what its format demands.

    Attributes:
        code: stable code that starts with the layer, such as ``L1-DUPLICATE-KEY``.
        pointer: JSON pointer of the place, empty for the document as a whole.
        detail: what was seen there, and what was allowed.
    """

    def __init__(self, code: str, detail: str, pointer: str = "", file: str = "") -> None:
        self.code, self.detail, self.pointer, self.file = code, detail, pointer, file
        place = "".join([f"{file}: " if file else "", f"at {pointer}: " if pointer else ""])
        super().__init__(f"{place}{detail} [{code}]")

    def in_file(self, file: str) -> FormatError:
        """Return the same error, told of a named file."""
        return FormatError(self.code, self.detail, self.pointer, file)


class PackageError(ConformanceError):
    """A model folder cannot be used: a file is missing, unsafe, or not understood."""


class BuildError(ConformanceError):
    """The suite could not make a file that the candidate needs: not the candidate's fault."""


class CandidateUnavailable(ConformanceError):  # noqa: N818  # reads as the fact that it states
    """The candidate cannot be opened here: not installed, no such device, unknown option."""


class Unsupported(ConformanceError):  # noqa: N818  # reads as the fact that it states
    """The candidate has no kernel for a case; raised by adapters."""


class NotInBuild(ConformanceError):  # noqa: N818  # reads as the fact that it states
    """A model's file does not show what its runtime could answer, or does not hold it.

    Raised by an adapter it takes back a claim for one model, and only one that no profile demands:
    ``hidden_states``. The suite raises it for a part of an encoder of which there are no tensors.
    """


class RestartsSpent(ConformanceError):  # noqa: N818  # reads as the fact that it states
    """The candidate's process died so often that it is not asked any more."""


class CandidateFault(ConformanceError):  # noqa: N818  # reads as the fact that it states
    """The candidate misbehaved on a valid input."""


class CandidateRaised(CandidateFault):
    """The candidate raised an exception."""


class CandidateCrashed(CandidateFault):
    """The candidate's process died."""


class CandidateTimeout(CandidateFault):
    """The candidate did not answer in time."""


class Refused(CandidateFault):
    """The candidate refuses a request; raised by adapters. A fault where the request is valid."""


class MalformedOutput(CandidateFault):
    """The candidate's answer has the wrong shape, type or names."""


class Nonconformity(ConformanceError, AssertionError):  # noqa: N818  # the field's word
    """A judge found the candidate's answer wrong; the text is made from the measurement.

    Attributes:
        measurement: the comparison that failed.
    """

    def __init__(self, measurement: Measurement, context: str = "") -> None:
        self.measurement, self.context = measurement, context
        super().__init__(describe(measurement) + (f"; {context}" if context else ""))


def describe(measurement: Measurement) -> str:
    """Say in one line what was observed, where, what was allowed and what would have passed."""
    seen = f"{measurement.observed:.4g} {measurement.unit} ({measurement.metric})"
    where = f" at {measurement.where}" if measurement.where else ""
    text = f"{seen}{where}; allowed {measurement.limit:.4g}"
    if math.inf > measurement.observed > measurement.limit > 0:
        text += f"; would pass at {_round_up(measurement.observed):.3g}"
    return text


def _round_up(value: float) -> float:
    """Return the next number of two digits that is not below ``value``."""
    if not 0 < value < math.inf:
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step


_SHOWN = 10
"""Of many known words, the nearest are shown."""


def fault_of_the_suite(error: SpecError) -> str:
    """Return what the user is told of a fault that neither he nor his candidate can mend."""
    text = str(error).rstrip(".")
    return f"fault of the suite: {text}. Install llm-conformance anew, and report this if it stays."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that lists the known words, the nearest first in a question."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    question = f" Did you mean {near[0]!r}?" if near else ""
    if len(names) <= _SHOWN + 2:
        return f"{question} Known: {', '.join(names) or 'none'}."
    shown = difflib.get_close_matches(word, names, n=_SHOWN, cutoff=0.0)
    return f"{question} Known: {', '.join(shown)} and {len(names) - len(shown)} more."
