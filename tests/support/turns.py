"""Whose turn it is, of what costs too much to be tried at each change: others at each revision."""

from __future__ import annotations

import functools
import os

from conformance import identity
from conformance.matrix import touched

ALL = os.environ.get("LLM_CONFORMANCE_MATRIX") == "all"
"""Whether everything is tried."""


def turn(names, shares):
    """Return those whose turn it is at this revision, one in so many; all if all are asked for."""
    return [*names] if ALL else touched.turn(names, shares, _revision())


@functools.cache
def _revision():
    return identity.digest_of("conformance") + identity.digest_of("reference_model")
