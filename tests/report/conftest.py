"""The golden report, for every test of the formats."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden():
    """Return the module that builds the golden report; tests are no package to import from."""
    spec = importlib.util.spec_from_file_location("golden", Path(__file__).with_name("golden.py"))
    module = sys.modules["golden"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
