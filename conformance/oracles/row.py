"""A row of the table of operators: what a standard operator takes, what it gives, what is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping  # noqa: TC003  # read at run time, as below
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.records import Contract

    Array = NDArray[Any]
    Inputs = Mapping[str, Array]
    Attributes = Mapping[str, Any]
    Answer = Mapping[str, tuple[Array, Array] | tuple[Array, Array, str]]
    Compute = Callable[[Inputs, Attributes, Contract], Answer]

NO_LATER = 10**6
"""No later version of the operator is known to differ."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Which versions of an operator are known, with which formal names and attributes' defaults."""

    since: int
    required: tuple[str, ...]
    outputs: tuple[str, ...]
    compute: Compute
    """Takes inputs in fp64, attributes and a contract; returns value and bound of each output.

    A third part names the output's type, where the standard fixes one.
    """
    optional: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    below: int = NO_LATER
    domain: str = ""
    later: Mapping[str, int] = field(default_factory=dict)
    """The versions that inputs and attributes came with, of those that came after ``since``."""
