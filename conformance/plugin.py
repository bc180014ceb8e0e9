"""The pytest plugin: options, and the session when ``--llm-candidate`` is given.

Every pytest run on the machine imports this module, so it imports nothing and registers
nothing but options until a candidate is named. Each option starts with ``--llm-``: plain names
belong to other plugins and to users' conftest files.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_OPTIONS = {
    "candidate": ("CANDIDATE", "the runtime or model to check: adapter[:target][?key=value&...]"),
    "against": ("CANDIDATE", "a second candidate, which the first is held against"),
    "profile": (
        "NAME",
        "the profile (default: decoder; equivalence with --llm-against, release with --llm-model)",
    ),
    "claims": ("FILE", "what the candidate supports, instead of what its adapter says"),
    "out": ("DIR", "the run folder (default: conformance-results/<candidate>-<profile>)"),
    "seed": ("N", "seed of the generated inputs (default: a random one, recorded)"),
    "replay": ("FILE", "run one stored counterexample and nothing else"),
    "jobs": ("N", "processes that share the run: only as llm-conformance run starts them"),
    "call-limit": ("SECONDS", "time limit of one call, with --llm-isolate (default: 120)"),
    "memory-limit": ("GIB", "memory limit of the candidate, with --llm-isolate (default: none)"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options to pytest's."""
    group = parser.getgroup("llm-conformance", "LLM conformance")
    for name, (value, text) in _OPTIONS.items():
        group.addoption(f"--llm-{name}", metavar=value, help=text)
    group.addoption(
        "--llm-model", metavar="DIR", action="append", default=[], help="a model folder"
    )
    group.addoption("--llm-only", metavar="ID", action="append", default=[], help="a requirement")
    group.addoption("--llm-job", default="", help=argparse.SUPPRESS)
    group.addoption("--llm-isolate", action="store_true", help="run the candidate on its own")


def pytest_configure(config: pytest.Config) -> None:
    """Register the session, once a candidate is named."""
    config.addinivalue_line("markers", "requirement(id): the requirement that a check decides")
    if config.getoption("--llm-candidate"):
        from conformance.session import register  # noqa: PLC0415  # see the module's docstring

        register(config)
