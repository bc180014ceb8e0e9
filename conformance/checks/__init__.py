"""The checks: pytest functions, each of which decides one requirement of the standard.

They are written against fixtures alone (``model``, ``operators``, ``package``, ``candidate``),
import no adapter, and hold no tolerance: limits come from the judge.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from conformance import spec

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[..., None]


def requirement(identifier: str) -> Callable[[Check], Check]:
    """Mark a check with the id of the requirement that it decides.

    A check that takes ``case`` runs once on each case that the requirement's row lists.
    """

    def decorate(check: Check) -> Check:
        if "case" in inspect.signature(check).parameters:
            cases = spec.load().requirements[identifier].inputs
            check = pytest.mark.parametrize("case", list(cases.values()), ids=list(cases))(check)
        return pytest.mark.requirement(identifier)(check)

    return decorate
