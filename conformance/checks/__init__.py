"""The checks: pytest functions, each of which decides one requirement of the standard.

They are written against fixtures alone (``model``, ``operators``, ``package``, ``candidate``),
import no adapter, and hold no tolerance: limits come from the judge.
"""

from __future__ import annotations

import pytest


def requirement(identifier: str) -> pytest.MarkDecorator:
    """Mark a check with the id of the requirement that it decides."""
    return pytest.mark.requirement(identifier)
